"""An invented answer of the API, as large as you like, in the real wire's shape.

    python tests/benchmarks/generate.py FILE --jobs 50000 --events 20

The suffix says the form: `.ndjson` (one job a line), `.json` (`{"data":[…]}`), each also with `.gz` or `.zst` after
it. Keys are in alphabetical order, event types in upper case, fractions of a second trimmed, keys left out, numbers
without a fraction written as integers, and `train_on_inputs` is true, false or "auto" from job to job. Ids are unique
and in no order. The same options give the same bytes. 50,000 jobs with 20 events each are 412 MB and take a few
seconds, and so does one job with 1,000,000 events.

With `--odd PERCENT` as many of the jobs, evenly spread, have one value of another type than declared: `"status":5`,
`"n_epochs":1500.5` or `"learning_rate":"fast"`. The rest of such a job, and all other jobs, are what they would be.

What was written is printed as one JSON object: jobs, events, the sum of `total_price`, and the bytes of JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

EPOCH = datetime(2025, 5, 1, tzinfo=UTC)
DATES = [EPOCH + timedelta(days=day) for day in range(500)]
DAY = [date.strftime("%Y-%m-%dT") for date in DATES]
UNIX_DAY = [f"{date:%a %b} {date.day:2d} " for date in DATES]
YEAR = [f" UTC {date.year}" for date in DATES]
CLOCK = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
FRACTION = ["Z"] + [f".{ms:03d}".rstrip("0") + "Z" for ms in range(1, 1000)]

MODELS = (
    "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference",
    "Qwen/Qwen3-32B-Reference",
    "mistralai/Mixtral-8x7B-Instruct-v0.1-Reference",
    "google/gemma-3-27b-it-Reference",
)
INPUTS = ('"auto"', "true", "false", '"auto"')
USERS = [f"65f0c0ffee00000000{number:06x}" for number in range(40)]
SCHEDULERS = (
    '{"lr_scheduler_args":{},"lr_scheduler_type":"linear"}',
    '{"lr_scheduler_args":{"min_lr_ratio":0.1},"lr_scheduler_type":"linear"}',
    '{"lr_scheduler_args":{"min_lr_ratio":0,"num_cycles":0.5},"lr_scheduler_type":"cosine"}',
)
TYPES = (
    '{"lora_alpha":16,"lora_r":8,"lora_trainable_modules":"all-linear","type":"Lora"}',
    '{"lora_alpha":64,"lora_dropout":0.05,"lora_r":32,"lora_trainable_modules":"k_proj,o_proj,q_proj,v_proj","type":"Lora"}',
    '{"type":"Full"}',
)
RATES = ("2e-05", "1e-05", "0.0001", "5e-06")
NORMS = ("1", "0.5", "1", "2")
DIGEST = 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95  # odd: a number times it looks random
MASK = (1 << 256) - 1
GAP = 120_000  # milliseconds between two epochs
LONGEST = 150 * 86_400_000  # of a job's training: the dates must last


def stamp(ms: int) -> str:
    """A moment as the API writes it, from milliseconds since the first day."""
    day, rest = divmod(ms, 86_400_000)
    return f"{DAY[day]}{CLOCK[rest // 1000]}{FRACTION[rest % 1000]}"


def spoken(ms: int) -> str:
    """A moment as the API's messages write it: `Thu Jul  2 08:11:00 UTC 2026`."""
    day, rest = divmod(ms, 86_400_000)
    return UNIX_DAY[day] + CLOCK[rest // 1000] + YEAR[day]


def event(ms: int, level: str, message: str, kind: str, *, a: str = "", d: str = "", m: str = "", p: str = "") -> str:
    """One event; `a`, `d`, `m`, `p` are more keys, where the alphabet puts them: first, after `created_at`, …"""
    return (
        f'{{{a}"created_at":"{stamp(ms)}",{d}"level":"{level}","message":"{message}",{m}'
        f'"object":"fine-tune-event",{p}"type":"{kind}"}}'
    )


def gap(count: int) -> int:
    """The milliseconds between two of so many epochs and checkpoints."""
    return min(GAP, LONGEST // max(1, count))


def middle(count: int, start: int, folder: str, steps: int, number: int) -> Iterator[str]:
    """Epochs and checkpoints, in turn."""
    for place in range(count):
        at = start + gap(count) * (place + 1) + number % 977
        step = steps * (place + 1) // count
        digest = f'"hash":"{(number + place + 1) * DIGEST & MASK:064x}",'
        tail = f'"step":{step},"total_steps":{steps},"training_offset":{step * 64},'
        if place % 2:
            path = f'"checkpoint_path":"{folder}-checkpoint-{step}",'
            message = f"Checkpoint saved at step {step}, stored as {folder}-checkpoint-{step}"
            yield event(at, "Info", message, "CHECKPOINT_SAVE", a=path, d=digest, p=tail)
        else:
            yield event(at, "Info", f"Epoch completed, at step {step}", "EPOCH_COMPLETE", d=digest, p=tail)


def events(count: int, start: int, model: str, folder: str, steps: int, tokens: int, number: int) -> tuple[str, int]:
    """The list of a job's events as JSON, and when the last of them happened."""
    if not count:
        return "[]", start
    tuned = f"{model}__TOG__FT"
    run = f"https://wandb.example/acme/fine-tuning/runs/{number:08x}"
    adapter = f'"adapter_path":"{folder}_adapter",'
    path = f'"model_path":"{folder}",'
    digest = f'"hash":"{number * DIGEST & MASK:064x}",'
    size = f'"param_count":8030261248,"step":0,"total_steps":{steps},'
    done = f'"step":{steps},"token_count":{tokens},"total_steps":{steps},'
    at = [start + delay for delay in (46_000, 47_000, 48_000, 48_120, 55_250, 61_000, 76_000)]
    head = [
        event(start, "", "Fine-tuning request created", "JOB_PENDING"),
        event(at[0], "Info", f"Job started at {spoken(at[0])}", "JOB_START"),
        event(at[1], "Info", f"Model data downloading for {tuned}", "MODEL_DOWNLOADING"),
        event(at[2], "Info", f"Model data downloaded for {tuned} at {spoken(at[2])}", "MODEL_DOWNLOAD_COMPLETE"),
        event(at[3], "Info", f"Data downloading for {tuned}", "TRAINING_DATA_DOWNLOADING"),
        event(at[4], "Info", f"Data downloaded for {tuned} at ${stamp(at[4])[:-1]}", "TRAINING_DATA_DOWNLOAD_COMPLETE"),
        event(at[5], "Info", "WandB run initialized.", "WANDB_INIT")[:-1] + f',"wandb_url":"{run}"}}',
        event(at[6], "Info", f"Training started for model {tuned}", "TRAINING_START", p=size),
    ]
    between = max(0, count - 15)
    at = [
        at[6] + gap(between) * (between + 1) + delay for delay in (0, 1_000, 50_000, 150_000, 151_000, 320_000, 327_000)
    ]
    tail = [
        event(
            at[0], "Info", f"Training completed for {tuned} at {spoken(at[0])}", "TRAINING_COMPLETE", d=digest, p=done
        ),
        event(at[1], "Info", f"Uploading adapter model to {folder}_adapter", "MODEL_UPLOADING", a=adapter),
        event(at[2], "Info", f"Compressing output model {folder}", "COMPRESSING_MODEL"),
        event(at[3], "Info", f"Model compression complete for {folder}", "MODEL_COMPRESSION_COMPLETE", d=digest),
        event(at[4], "Info", f"Uploading output model to {folder}", "MODEL_UPLOADING"),
        event(at[5], "Info", f"Model upload complete: {folder}", "MODEL_UPLOAD_COMPLETE", a=adapter, d=digest, m=path),
    ]
    if number % 17 == 0:
        message = f'Training failed: the loss is \\"nan\\" since step {steps}; see {run}'
        last = event(at[6], "Error", message, "JOB_USER_ERROR")
    else:
        last = event(at[6], "Info", f"Job finished at {spoken(at[6])}", "JOB_COMPLETE", d=digest, m=path)
    rest = [*head, *middle(between, start + 76_000, folder, steps, number), *tail]
    return f"[{','.join([*rest[: count - 1], last])}]", at[6]


def job(place: int, number: int, count: int, *, odd: bool) -> tuple[str, int]:
    """One job as one line of JSON, and its price in nano-USD; an odd one has a value of a wrong type."""
    identity = f"ft-{number:08x}-{number * 40503 & 0xFFFF:04x}"
    model = MODELS[number % 4]
    user = USERS[number % 40]
    name = f"acme_1a2b/{model.partition('/')[2]}-support-v{number % 90}-{number * 97 & 0xFFFFFFFF:08x}"
    folder = f"s3://example-bucket/finetune/{user}/{name}/{identity}"
    start = number * 7 + place % 1000
    steps = 24 + number % 2000
    tokens = 1513 * steps + number % 1000
    price = tokens * 480
    suffix = f"{'support' if number % 11 else 'ayuda-ñandú'}-v{number % 90}"
    training = TYPES[number % 3]
    listed, end = events(count, start, model, folder, steps, tokens, number)
    method = (
        f'{{"method":"sft","train_on_inputs":{INPUTS[number // 4 % 4]}}}'
        if number % 10
        else '{"dpo_beta":0.1,"dpo_normalize_logratios_by_length":false,"dpo_reference_free":false,"method":"dpo",'
        '"rpo_alpha":0,"simpo_gamma":0}'
    )
    adapter = "" if training == TYPES[2] else f'"adapter_output_path":"{folder}_adapter",'
    top = "" if number % 5 else '"train_on_inputs":null,'
    status = "5" if odd and number % 3 == 0 else '"user_error"' if number % 17 == 0 else '"completed"'
    epochs = "1500.5" if odd and number % 3 == 1 else "3"
    rate = '"fast"' if odd and number % 3 == 2 else RATES[number % 4]
    line = (
        f'{{{adapter}"batch_size":{8 << number % 3},"checkpoints":[],"created_at":"{stamp(start)}",'
        f'"epochs_completed":3,"eval_price":0,"eval_steps":0,"eval_token_count":0,"evals_completed":0,'
        f'"evals_paid_for":0,"events":{listed},"from_checkpoint":"","from_hf_model":"","gradient_accumulation_steps":1,"hf_model_revision":"","id":"{identity}",'
        f'"learning_rate":{rate},"lr_scheduler":{SCHEDULERS[number % 3]},'
        f'"max_grad_norm":{NORMS[number // 3 % 4]},"max_seq_length":131072,"max_steps":-1,"merge_parent_adapter":false,'
        f'"model":"{model}","model_output_name":"{name}","model_output_path":"{folder}","multimodal_params":{{}},'
        f'"n_checkpoints":1,"n_epochs":{epochs},"n_evals":0,"owner_address":"0x{number * DIGEST & MASK >> 96:040x}",'
        f'"packing":{"false" if number % 6 == 0 else "true"},"param_count":0,'
        f'"progress":{{"estimate_available":false,"seconds_remaining":0}},'
        f'"random_seed":{42 if number % 7 else "null"},'
        f'"refund_amount":0,"started_at":"{stamp(start + 46_000)}",'
        f'"status":{status},"steps_completed":{steps},'
        f'"steps_paid_for":{steps},"suffix":"{suffix}","token_count":{tokens},"total_price":{price},'
        f'"total_steps":{steps},{top}"train_price":{price},'
        f'"training_file":"file-00000000-0000-4000-8000-{number % 5000:012d}","training_files":null,'
        f'"training_method":{method},"training_type":{training},'
        f'"updated_at":"{stamp(end + 14_500)}","user_id":"{user}",'
        f'"validation_files":null,"validation_split_ratio":0,"wandb_name":"","wandb_project_name":"","warmup_ratio":0,"warmup_steps":0,'
        f'"weight_decay":0}}'
    )
    return line, price


def opened(path: Path, stack: ExitStack) -> BinaryIO:
    """The file, compressed if its name says so."""
    raw = stack.enter_context(path.open("wb"))
    if path.suffix == ".gz":
        return stack.enter_context(gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0))
    if path.suffix == ".zst":
        import zstandard  # only this form needs it

        return stack.enter_context(zstandard.ZstdCompressor(level=1).stream_writer(raw, closefd=False))
    return raw


def make(path: Path, *, jobs: int, count: int, seed: int = 1, odd: float = 0) -> dict[str, int]:
    """Write the file; what it holds."""
    whole = ".json" in path.suffixes
    numbers = random.Random(seed).sample(range(1 << 32), jobs)
    total = size = 0
    with ExitStack() as stack:
        file = opened(path, stack)
        if whole:
            file.write(b'{"data":[')
        for place, number in enumerate(numbers):
            strange = int((place + 1) * odd / 100) > int(place * odd / 100)
            line, price = job(place, number, count, odd=strange)
            data = line.encode()
            file.write((b"," if place else b"") + data if whole else data + b"\n")
            total += price
            size += len(data) + 1
        if whole:
            file.write(b"]}\n")
    return {"jobs": jobs, "events": jobs * count, "nanousd": total, "bytes": size}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write an invented answer of the fine-tuning API.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--odd", type=float, default=0, metavar="PERCENT", help="of the jobs, with a value of a wrong type"
    )
    options = parser.parse_args()
    found = make(options.file, jobs=options.jobs, count=options.events, seed=options.seed, odd=options.odd)
    print(json.dumps(found))
