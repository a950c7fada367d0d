import ArgumentParser
import Foundation
import MessagePassing
import Networks
import Tensors
import Training

struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Measure the training step, or inference, on this machine.",
    discussion: """
      Runs the whole step on shards of noise and prints the medians: images a second, seconds of \
      each phase, and the arithmetic against the rate of matrix multiplies measured in the same \
      run.

      Examples:
        rfm benchmark --threads 2
        mpirun -np 2 --bind-to none rfm benchmark --threads 1 --json
        rfm benchmark --inference --precision bfloat16
      """)

  @Option(help: "The detector.")
  var model = DetectorName.xception
  @Option(help: "Input size in pixels.")
  var crop = 224
  @Option(help: "Images of a rank.")
  var batch = 8
  @Option(help: "Worker threads of a rank. Default: its share of the node's cores.")
  var threads: Int?
  @Option(help: "float32 or bfloat16, for attention and training.")
  var precision = Precision.float32
  @Option(help: "Steps that are measured.")
  var steps = 5
  @Option(help: "Steps before them.")
  var warmup = 2
  @Flag(help: "Measure inference (evaluate) instead of the step.")
  var inference = false
  @Flag(help: "Print JSON instead of a table.")
  var json = false

  func validate() throws {
    guard (DetectorName.smallestCrop...4096).contains(crop) else {
      throw ValidationError("--crop takes \(DetectorName.smallestCrop) to 4096")
    }
    guard (1...1024).contains(batch), (1...100_000).contains(steps), (0...100_000).contains(warmup),
      (1...1024).contains(threads ?? 1)
    else { throw ValidationError("--batch, --steps and --threads take 1 or more") }
  }

  func run() throws {
    let communicator = try Communicator.world()
    var settings = BenchmarkSettings()
    settings.model = model
    settings.crop = crop
    settings.batch = batch
    settings.threads = threads ?? ThreadShare.perRank(communicator)
    settings.precision = precision
    if precision == .bfloat16, !KernelSelection.hasBFloat16 {
      say("warning: this processor has no bfloat16 instructions; float32 is measured instead")
      settings.precision = .float32
    }
    settings.steps = steps
    settings.warmup = warmup
    settings.inference = inference
    let report = try BenchmarkJob.run(settings, communicator: communicator)
    guard communicator.isRoot else { return }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
      return
    }
    print(
      "\(report.model) at \(report.crop), batch \(report.batchPerRank) a rank, "
        + "\(report.ranks) ranks of \(report.threads) threads, \(report.precision), \(report.kernels)"
    )
    print("images/s        \(fixed(report.imagesPerSecond, 2))")
    for name in ["load", "attention", "erase", "forward", "backward", "reduce", "update"] {
      guard let seconds = report.secondsPerPhase[name] else { continue }
      let label = name.padding(toLength: 15, withPad: " ", startingAt: 0)
      print("\(label) \(fixed(seconds * 1000, 1)) ms")
    }
    print("Gflop/s         \(fixed(report.gflopsPerSecond, 1))")
    print("  multiply rate \(fixed(report.gemmGflopsPerSecond, 1))")
    print("  of it         \(fixed(report.percentOfGemm, 1)) %")
    print("peak memory     \(report.peakMemoryBytes >> 20) MiB a rank")
    if let allocations = report.allocationsPerStep {
      print("allocations     \(fixed(allocations, 1)) a step")
    }
    print("waits for data  \(fixed(100 * report.dataWaitFraction, 2)) %")
  }
}
