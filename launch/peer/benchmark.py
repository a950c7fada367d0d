"""Images per second of the whole RFM step of a network in PyTorch, on the CPU.

    python benchmark.py --variant VARIANT [--model M] [--threads T] [--batch B] [--crop C] [--steps N]

One variant a process, because peak memory is a property of the process. The result is one line of
JSON. The variants:

published           the algorithm as its authors' program goes about it: NCHW, eager; the attention
                    map by a full backward pass that also computes every weight's gradient; pixels
                    sorted and blocks erased image by image in Python
channels-last       the same arithmetic as a practitioner would write it: channels-last tensors,
                    gradients to the input only, erasing vectorised over the batch, fused Adam
compiled            channels-last under torch.compile
bfloat16            channels-last under bfloat16 autocast
bfloat16-compiled   that under torch.compile
distributed         channels-last in DistributedDataParallel: --ranks processes over gloo, each with
                    --threads threads and --batch images
ipex                channels-last with Intel's extension (ipex.optimize)
inference           forward only: channels-last, torch.inference_mode
inference-bfloat16  that under bfloat16 autocast
inference-compiled  inference under torch.compile, with frozen weights
inference-ipex      inference with Intel's extension, traced and frozen
inference-onnxruntime, inference-openvino
                    the same network in ONNX Runtime and in OpenVINO, float32 on all threads
inference-openvino-throughput
                    OpenVINO given four batches at once, as rfm is, to run side by side

Denormals count as zero in all of them, as they do in rfm.
"""

import argparse
import copy
import io
import json
import os
import queue
import random
import resource
import statistics
import sys
import time

# rfm's names of networks: timm's. Xception needs no timm. compare.py reads this too.
MODELS = {
    "xception": None,
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "efficientnet-b0": "efficientnet_b0",
    "efficientnet-b4": "efficientnet_b4",
    "mobilenet-v2": "mobilenetv2_100",
    "vgg16-bn": "vgg16_bn",
    "convnext-tiny": "convnext_tiny",
}
VARIANTS = [
    "published", "channels-last", "compiled", "bfloat16", "bfloat16-compiled", "distributed",
    "ipex", "inference", "inference-bfloat16", "inference-compiled", "inference-ipex",
    "inference-onnxruntime", "inference-openvino", "inference-openvino-throughput",
]  # fmt: skip


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", choices=VARIANTS, required=True)
    parser.add_argument("--model", choices=list(MODELS), default="xception")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--ranks", type=int, default=2, help="processes of `distributed`")
    parser.add_argument("--batch", type=int, default=8, help="images a step and rank")
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--compile-mode", default="default", help="mode of torch.compile")
    return parser.parse_args()


# Before torch is imported: its OpenMP reads these when it loads.
if __name__ == "__main__":
    OPTIONS = parse()
    os.environ["OMP_NUM_THREADS"] = str(OPTIONS.threads)
    os.environ["MKL_NUM_THREADS"] = str(OPTIONS.threads)

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from xception import Xception  # noqa: E402

BLOCKS = 3
LARGEST_BLOCK = 120 / 224  # of the crop


def network(options):
    """The network with two classes."""
    if options.model == "xception":
        return Xception()
    import timm

    model = timm.create_model(MODELS[options.model], num_classes=2)
    if options.model != "vgg16-bn":
        return model
    # As rfm's: the average of the last map and one linear layer.
    flatten = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(512, 2)]
    return torch.nn.Sequential(model.features, *flatten)


def erase_image_by_image(images, attention):
    """The erasing in plain Python: sort each image's pixels, cover the first uncovered ones."""
    count, _, height, width = images.shape
    largest_h, largest_w = int(height * LARGEST_BLOCK), int(width * LARGEST_BLOCK)
    keep = torch.ones(count, 1, height, width)
    for n in range(count):
        order = attention[n].flatten().numpy().argsort()[::-1]
        blocks = 0
        for pixel in order:
            y, x = int(pixel) // width, int(pixel) % width
            if keep[n, 0, y, x] == 0:
                continue
            h, w = random.randint(1, largest_h), random.randint(1, largest_w)
            top, left = y - random.randint(0, h - 1), x - random.randint(0, w - 1)
            keep[n, :, max(top, 0) : top + h, max(left, 0) : left + w] = 0
            blocks += 1
            if blocks == BLOCKS:
                break
    return images * keep + (1 - keep) * (torch.rand_like(images) * 2 - 1)


def erase_batch(images, attention):
    """The same for all images at once: the next pixel is the largest among the uncovered."""
    count, _, height, width = images.shape
    largest_h, largest_w = int(height * LARGEST_BLOCK), int(width * LARGEST_BLOCK)
    rows, columns = torch.arange(height), torch.arange(width)
    erased = torch.zeros(count, height, width, dtype=torch.bool)
    for _ in range(BLOCKS):
        pixel = attention.masked_fill(erased, -1).flatten(1).argmax(1)
        h = torch.randint(1, largest_h + 1, (count,))
        w = torch.randint(1, largest_w + 1, (count,))
        top = pixel // width - (torch.rand(count) * h).long()
        left = pixel % width - (torch.rand(count) * w).long()
        inside_rows = (rows >= top[:, None]) & (rows < (top + h)[:, None])
        inside_columns = (columns >= left[:, None]) & (columns < (left + w)[:, None])
        erased |= inside_rows[:, :, None] & inside_columns[:, None, :]
    noise = torch.empty_like(images).uniform_(-1, 1)
    return torch.where(erased[:, None], noise, images)


def frozen_twin(model):
    """The model in evaluation mode with the same storage, whose parameters need no gradient."""
    twin = copy.deepcopy(model)
    for original, copied in zip(model.modules(), twin.modules()):
        for name, parameter in original._parameters.items():
            if parameter is not None:
                copied._parameters[name] = torch.nn.Parameter(parameter.detach(), False)
        for name, buffer in original._buffers.items():
            copied._buffers[name] = buffer
    return twin.eval()


class Published:
    """A step as the published program takes it."""

    def __init__(self, options):
        self.model = network(options)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-4)

    def prepare(self, images):
        return images

    def step(self, images, labels, clock):
        self.model.eval()
        self.model.zero_grad()
        inputs = images.detach().clone().requires_grad_(True)
        logits = self.model(inputs)
        (logits[:, 1] - logits[:, 0]).backward(torch.ones(len(inputs)))
        attention = inputs.grad.abs().max(dim=1).values
        clock("attention")
        erased = erase_image_by_image(images, attention)
        clock("erase")
        self.model.train()
        loss = functional.cross_entropy(self.model(erased), labels)
        clock("forward")
        self.optimizer.zero_grad()
        loss.backward()
        clock("backward")
        self.optimizer.step()
        clock("update")
        return loss.item()


class Improved:
    """A step with what a practitioner would do about its cost."""

    def __init__(self, options, wrap=lambda model: model):
        self.autocast = options.variant.startswith("bfloat16")
        model = network(options).to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, fused=True)
        self.attentive = frozen_twin(model)
        self.model = wrap(model)
        if options.variant.endswith("compiled"):
            self.attentive = torch.compile(
                self.attentive, dynamic=False, mode=options.compile_mode
            )
            self.model = torch.compile(self.model, dynamic=False, mode=options.compile_mode)

    def prepare(self, images):
        return images.contiguous(memory_format=torch.channels_last)

    def lower(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.autocast)

    def step(self, images, labels, clock):
        inputs = images.detach().requires_grad_(True)
        with self.lower():
            logits = self.attentive(inputs)
        difference = (logits[:, 1] - logits[:, 0]).float().sum()
        (gradient,) = torch.autograd.grad(difference, inputs)
        inputs.requires_grad_(False)
        attention = gradient.abs().amax(dim=1)
        clock("attention")
        erased = erase_batch(images, attention)
        clock("erase")
        with self.lower():
            logits = self.model(erased)
        loss = functional.cross_entropy(logits.float(), labels)
        clock("forward")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clock("backward")
        self.optimizer.step()
        clock("update")
        return loss.item()


class Extended(Improved):
    """The same with Intel's extension, which lays the weights out anew: attention takes them from the model
    in evaluation mode itself."""

    def __init__(self, options):
        import intel_extension_for_pytorch as ipex

        self.autocast = False
        model = network(options).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, fused=True)
        self.model, self.optimizer = ipex.optimize(model, optimizer=optimizer, dtype=torch.float32)

    def attentive(self, inputs):
        # Its convolutions note in forward whether the weights require gradients, and backward then computes
        # those even where only the input's are asked for.
        self.model.eval().requires_grad_(False)
        logits = self.model(inputs)
        self.model.train().requires_grad_(True)
        return logits


class Inference:
    def __init__(self, options):
        self.autocast = options.variant == "inference-bfloat16"
        self.model = network(options).to(memory_format=torch.channels_last).eval()
        if options.variant == "inference-compiled":
            from torch._inductor import config

            config.freezing = True  # folds batch norms and packs weights once
            self.model = torch.compile(self.model, dynamic=False, mode=options.compile_mode)
        elif options.variant == "inference-ipex":
            import intel_extension_for_pytorch as ipex

            example = self.prepare(torch.zeros(options.batch, 3, options.crop, options.crop))
            self.model = ipex.optimize(self.model, dtype=torch.float32, inplace=True)
            with torch.inference_mode():
                self.model = torch.jit.freeze(torch.jit.trace(self.model, example))

    def prepare(self, images):
        return images.contiguous(memory_format=torch.channels_last)

    def step(self, images, labels, clock):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            logits = self.model(images)
        clock("forward")
        return logits.float().mean().item()


class OnnxRuntime:
    """PyTorch's own export of the network, run by ONNX Runtime."""

    def __init__(self, options):
        import onnxruntime

        file = io.BytesIO()
        example = torch.zeros(options.batch, 3, options.crop, options.crop)
        torch.onnx.export(network(options).eval(), (example,), file, dynamo=False, opset_version=17,
                          input_names=["images"])  # fmt: skip
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.add_session_config_entry("session.set_denormal_as_zero", "1")
        self.session = onnxruntime.InferenceSession(
            file.getvalue(), settings, providers=["CPUExecutionProvider"])

    def prepare(self, images):
        return images.numpy()

    def step(self, images, labels, clock):
        (logits,) = self.session.run(None, {"images": images})
        clock("forward")
        return float(logits.mean())


class OpenVino:
    """One batch on all threads, or several at once on some each, as OpenVINO sees fit."""

    def __init__(self, options):
        import openvino

        self.takes_all = options.variant.endswith("throughput")
        example = torch.zeros(options.batch, 3, options.crop, options.crop)
        model = openvino.convert_model(
            network(options).eval(), example_input=example, input=[list(example.shape)])
        self.model = openvino.Core().compile_model(model, "CPU", {
            "INFERENCE_NUM_THREADS": options.threads,
            "PERFORMANCE_HINT": "THROUGHPUT" if self.takes_all else "LATENCY",
            "CPU_DENORMALS_OPTIMIZATION": True,
            # Else it takes bfloat16 where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32"})  # fmt: skip
        if self.takes_all:
            self.queue = openvino.AsyncInferQueue(self.model)
            self.queue.set_callback(
                lambda request, means: means.append(request.get_output_tensor(0).data.mean()))

    def prepare(self, images):
        return images.numpy()

    def step(self, images, labels, clock):
        means = []
        if self.takes_all:
            for batch in images:
                self.queue.start_async([batch], means, share_inputs=True)
            self.queue.wait_all()
        else:
            means.append(self.model(images)[0].mean())
        clock("forward")
        return float(sum(means) / len(means))


def make_program(options):
    if options.variant == "inference-onnxruntime":
        return OnnxRuntime(options)
    if options.variant.startswith("inference-openvino"):
        return OpenVino(options)
    if options.variant.startswith("inference"):
        return Inference(options)
    return {"published": Published, "ipex": Extended}.get(options.variant, Improved)(options)


def run(options, program, rank=0):
    """Median seconds of a step, of each phase, and of processor time in a step."""
    generator = torch.Generator().manual_seed(rank)
    shape = (options.batch, 3, options.crop, options.crop)
    batches = [
        program.prepare(torch.rand(shape, generator=generator) * 4 - 2) for _ in range(4)
    ]
    labels = torch.arange(options.batch) % 2
    # A program that takes all batches at once does as many steps in one.
    takes_all = getattr(program, "takes_all", False)
    share = len(batches) if takes_all else 1
    steps, phases, processor = [], {}, []
    for number in range(options.warmup + options.steps):
        used = time.process_time()
        marks = [(None, time.perf_counter())]
        program.step(
            batches if takes_all else batches[number % len(batches)],
            labels,
            lambda phase: marks.append((phase, time.perf_counter())),
        )
        if number < options.warmup:
            continue
        steps.append((marks[-1][1] - marks[0][1]) / share)
        processor.append((time.process_time() - used) / share)
        for (_, begin), (phase, end) in zip(marks, marks[1:]):
            phases.setdefault(phase, []).append((end - begin) / share)
    middle = statistics.median
    return middle(steps), {k: middle(v) for k, v in phases.items()}, middle(processor)


def settle(options):
    """Settings that threads take over from the one that starts them: before anything runs in parallel."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)


def peak_memory():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def distributed_rank(rank, options, port, results):
    import torch.distributed as distributed
    from torch.nn.parallel import DistributedDataParallel

    settle(options)
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=options.ranks
    )

    def wrap(model):
        # Each rank keeps its own batch statistics, as ours does: nothing but gradients travels.
        return DistributedDataParallel(
            model, broadcast_buffers=False, gradient_as_bucket_view=True, static_graph=True
        )

    seconds, phases, processor = run(options, Improved(options, wrap), rank)
    results.put((rank, seconds, phases, processor, peak_memory()))
    distributed.barrier()
    distributed.destroy_process_group()


def run_distributed(options):
    import socket

    import torch.multiprocessing as multiprocessing

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=distributed_rank, args=(rank, options, port, results), daemon=True)
        for rank in range(options.ranks)
    ]
    for process in processes:
        process.start()
    gathered = []
    while len(gathered) < len(processes):
        try:
            gathered.append(results.get(timeout=1))
        except queue.Empty:
            # A rank that ends without a result is waited for by the others, and by nobody here. Its own last
            # words stand, unless it had none. Ranks that are left end with this process.
            for rank, process in enumerate(processes):
                if (process.exitcode or 0) < 0:
                    sys.exit(f"rank {rank} was ended by signal {-process.exitcode}")
                if process.exitcode:
                    sys.exit(1)
    gathered.sort()
    for process in processes:
        process.join()
    seconds = max(entry[1] for entry in gathered)
    processor, peak = (sum(entry[k] for entry in gathered) for k in (3, 4))
    return seconds, gathered[0][2], processor, peak


def main():
    options = OPTIONS
    torch.manual_seed(5)
    random.seed(5)
    settle(options)
    ranks = 1
    baseline = peak_memory()
    if options.variant == "distributed":
        ranks = options.ranks
        seconds, phases, processor, peak = run_distributed(options)
    else:
        seconds, phases, processor = run(options, make_program(options))
        peak = peak_memory()
    result = {
        "variant": options.variant,
        "model": options.model,
        "images_per_second": ranks * options.batch / seconds,
        "seconds_per_step": seconds,
        "seconds_per_phase": phases,
        # Well below threads times seconds_per_step: the machine was busy with something else.
        "processor_seconds_per_step": processor,
        "peak_memory_bytes": peak,
        "imported_memory_bytes": baseline,
        "ranks": ranks,
        "threads": options.threads,
        "batch": options.batch,
        "crop": options.crop,
        "torch": torch.__version__,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
