"""Makes the bucket, if it is not there: ``python docker/make_bucket.py NAME``.

The store is that of the ``AWS_*`` variables, ``AWS_ENDPOINT_URL`` among them.
"""

import os
import sys
from urllib.parse import urlsplit

from pyarrow.fs import S3FileSystem

endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
store = S3FileSystem(
    scheme=endpoint.scheme, endpoint_override=endpoint.netloc, allow_bucket_creation=True
)
store.create_dir(sys.argv[1], recursive=False)
