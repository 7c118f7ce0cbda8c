"""In which precision a device multiplies fastest."""

import torch


def native_precision(device: str) -> torch.dtype:
    """Return bfloat16 where a device multiplies it itself, and else float32."""
    if device == "cuda":
        is_native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        is_native = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if is_native else torch.float32
