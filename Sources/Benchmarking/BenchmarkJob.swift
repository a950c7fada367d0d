import CAllocations
import Configuration
import Evaluation
import FaceShards
import ForgeryMining
import Foundation
import Foundations
import Images
import MessagePassing
import Networks
import Synchronization
import Tensors
import Training

/// What `rfm benchmark` is asked.
public struct BenchmarkSettings: Sendable {
  public var model = DetectorName.xception
  public var crop = 224
  /// Images of a rank.
  public var batch = 8
  public var threads = 1
  /// Where that number comes from, in words.
  public var threadsFrom: String?
  public var precision = Precision.float32
  public var steps = 5
  public var warmup = 2
  /// Measure inference instead of the training step.
  public var inference = false
  /// Ranks of one host add up gradients in memory that they share.
  public var hostMemory = true

  public init() {}

  /// How bfloat16 is multiplied, where that is the precision; once that is settled.
  var bfloat16Multiply: String? {
    precision == .bfloat16 ? MatrixMultiply.ways.bfloat16.rawValue : nil
  }

  /// The precision, as a training is told.
  var training: Configuration.Training {
    var training = Configuration().training
    let element = Configuration.Training.Precision.Element(rawValue: precision.rawValue)!
    training.precision.attention = element
    training.precision.training = element
    return training
  }
}

/// Measures the whole step, and what the processor could do at best.
///
/// The data are real: shards of noise, written to a temporary folder, read and cropped as in
/// training. The rate to compare with is that of the matrix multiplies that the step consists of, at
/// their shapes in the middle of the network, on the same threads in the same run.
public struct BenchmarkJob {
  /// What was measured, on rank 0, medians over the steps.
  public struct Report: Codable, Sendable {
    public var model: String
    public var crop: Int
    public var batchPerRank: Int
    public var ranks: Int
    public var threads: Int
    /// Where the number of rank 0's threads comes from, in words.
    public var threadsFrom: String?
    public var precision: String
    public var kernels: String
    /// How bfloat16 was multiplied, where that is the precision.
    public var bfloat16Multiply: String?
    /// The library that multiplied float32.
    public var float32Multiply: String?
    public var steps: Int
    public var imagesPerSecond: Double
    public var secondsPerStep: Double
    public var secondsPerPhase: [String: Double]
    public var gflopsPerSecond: Double
    public var gemmGflopsPerSecond: Double
    public var percentOfGemm: Double
    /// Of a rank, without the parts of other ranks in memory that they share.
    public var peakMemoryBytes: Int
    public var dataWaitFraction: Double
    /// Heap allocations a step of the threads that compute, after the warm-up; nil for inference and
    /// where they can't be counted.
    public var allocationsPerStep: Double?
    /// How gradients were summed over ranks, see `GradientReducer.Means`; nil for inference.
    public var gradientSums: String?
    /// Standard deviation of a step's seconds; nil for inference, as are the next three.
    public var secondsDeviation: Double?
    /// Bytes of each bucket of gradients, and when it was ready: seconds from backward's begin.
    public var bucketBytes: [Int]?
    public var bucketReadySeconds: [Double]?
    /// Bytes of the running statistics.
    public var statisticsBytes: Int?

    enum CodingKeys: String, CodingKey {
      case model, crop, ranks, threads, precision, kernels, steps
      case batchPerRank = "batch_per_rank"
      case bfloat16Multiply = "bfloat16_multiply"
      case float32Multiply = "float32_multiply"
      case threadsFrom = "threads_from"
      case imagesPerSecond = "images_per_second"
      case secondsPerStep = "seconds_per_step"
      case secondsPerPhase = "seconds_per_phase"
      case gflopsPerSecond = "gflops_per_second"
      case gemmGflopsPerSecond = "gemm_gflops_per_second"
      case percentOfGemm = "percent_of_gemm"
      case peakMemoryBytes = "peak_memory_bytes"
      case dataWaitFraction = "data_wait_fraction"
      case allocationsPerStep = "allocations_per_step"
      case gradientSums = "gradient_sums"
      case secondsDeviation = "seconds_deviation"
      case bucketBytes = "bucket_bytes"
      case bucketReadySeconds = "bucket_ready_seconds"
      case statisticsBytes = "statistics_bytes"
    }
  }

  /// Collective.
  public static func run(_ settings: BenchmarkSettings, communicator: Communicator) throws
    -> Report
  {
    let workers = WorkerPool(threads: settings.threads)
    try SettledMultiplies.take(settings.training, communicator, workers)
    let before = MultiplyRate.measure(settings.precision, workers) / 1e9
    let report =
      settings.inference
      ? try inference(settings, communicator, workers)
      : try training(settings, communicator, workers)
    // Other work on the machine comes and goes: the mean of before and after.
    let rate = (before + MultiplyRate.measure(settings.precision, workers) / 1e9) / 2
    var result = report
    result.threadsFrom = settings.threadsFrom
    result.bfloat16Multiply = settings.bfloat16Multiply
    result.float32Multiply = MatrixMultiply.library
    result.gemmGflopsPerSecond = rate * Double(communicator.size)
    result.percentOfGemm = 100 * result.gflopsPerSecond / result.gemmGflopsPerSecond
    return result
  }

  private static func training(
    _ settings: BenchmarkSettings, _ communicator: Communicator, _ workers: WorkerPool
  ) throws -> Report {
    var configuration = Configuration.paper
    configuration.model.name = .init(rawValue: settings.model.rawValue)!
    configuration.data.crop = settings.crop
    configuration.training = settings.training
    configuration.training.batchPerRank = settings.batch
    configuration.training.threads = settings.threads
    configuration.communication.hostMemory = settings.hostMemory
    let folder = try NoiseShards(crop: settings.crop, images: 4 * settings.batch, communicator)
    defer { folder.remove(communicator) }
    configuration.data.train = [folder.pattern]
    let data = try TrainingData(configuration, communicator)
    let detector = Detector(settings.model)
    detector.initialise(seed: 5)
    let step = try TrainingStep(
      configuration, detector, communicator: communicator, workers: workers)
    let gatherer = EpochPrototypeGatherer(
      methods: Array(data.methodNames.dropFirst()), side: settings.crop)
    gatherer.begin(epoch: 0)
    step.erasing.gather(into: gatherer, height: data.training.height, width: data.training.width)
    let loader = try data.loader(position: 0)
    var phases: [TrainingStep.Phases] = []
    var seconds: [Double] = []
    var readiness: [[Double]] = []
    var allocations: Int64 = 0
    for number in 1...(settings.warmup + settings.steps) {
      try communicator.barrier()
      countAllocations(true, workers)
      let before = rfm_counted_allocations()
      let watch = Stopwatch()
      let result = try step.run(
        loader, step: number, learningRate: 2e-4, stop: false)
      if number > settings.warmup { allocations += rfm_counted_allocations() - before }
      countAllocations(false, workers)
      if number > settings.warmup {
        seconds.append(watch.seconds)
        phases.append(result.phases)
        // A copy of its own: shared storage would be copied within the next step.
        readiness.append(step.reducer.readiness.map { $0 })
      }
    }
    let perStep = median(seconds)
    func phase(_ path: (TrainingStep.Phases) -> Double) -> Double { median(phases.map(path)) }
    // Attention: forward and input gradient; update: forward and both gradients.
    let work =
      5 * 2 * Double(NetworkCost.multiplyAccumulates(settings.model, crop: settings.crop))
    var result = try report(
      settings, communicator, seconds: perStep, work: work,
      phases: [
        "load": phase(\.load), "attention": phase(\.attention), "erase": phase(\.erase),
        "forward": phase(\.forward), "backward": phase(\.backward), "reduce": phase(\.reduce),
        "update": phase(\.update),
      ])
    result.peakMemoryBytes -= step.reducer.foreignBytes
    result.gradientSums = step.reducer.means.rawValue
    result.secondsDeviation = deviation(seconds)
    result.bucketBytes = step.reducer.buckets.map { $0.count * MemoryLayout<Float>.stride }
    result.bucketReadySeconds = step.reducer.buckets.indices.map { bucket in
      median(readiness.map { $0[bucket] })
    }
    result.statisticsBytes = detector.runningStatistics.count * MemoryLayout<Float>.stride
    if rfm_allocations_can_be_counted() != 0 {
      result.allocationsPerStep = Double(allocations) / Double(settings.steps)
    }
    return result
  }

  /// Switches counting on or off in the calling thread and every worker: each takes one task, since
  /// none goes on before all have begun.
  private static func countAllocations(_ on: Bool, _ workers: WorkerPool) {
    let begun = Begun()
    let count = workers.count
    workers.run(count) { _, _ in
      rfm_count_allocations(on ? 1 : 0)
      begun.number.wrappingAdd(1, ordering: .relaxed)
      while begun.number.load(ordering: .relaxed) < count { sched_yield() }
    }
  }

  private final class Begun: Sendable { let number = Atomic<Int>(0) }

  private static func inference(
    _ settings: BenchmarkSettings, _ communicator: Communicator, _ workers: WorkerPool
  ) throws -> Report {
    let folder = try NoiseShards(crop: settings.crop, images: 4 * settings.batch, communicator)
    defer { folder.remove(communicator) }
    let set = try ShardSet(patterns: [folder.pattern])
    let detector = Detector(settings.model)
    detector.initialise(seed: 5)
    let pass = DatasetPass(
      detector, crop: settings.crop, normalisation: PixelNormalisation(), batch: settings.batch,
      precision: settings.precision, communicator: communicator, workers: workers)
    // Every rank takes as many images as a step of training would have.
    let samples = (0..<settings.batch * communicator.size * 4).map { $0 % set.count }
    var seconds: [Double] = []
    for number in 1...(settings.warmup + settings.steps) {
      try communicator.barrier()
      let watch = Stopwatch()
      _ = try pass.logits(set, samples)
      if number > settings.warmup { seconds.append(watch.seconds / 4) }
    }
    return try report(
      settings, communicator, seconds: median(seconds),
      work: 2 * Double(NetworkCost.multiplyAccumulates(settings.model, crop: settings.crop)),
      phases: ["load": 0, "forward": median(seconds)])
  }

  private static func report(
    _ settings: BenchmarkSettings, _ communicator: Communicator, seconds: Double, work: Double,
    phases: [String: Double]
  ) throws -> Report {
    let images = Double(settings.batch * communicator.size)
    return Report(
      model: settings.model.rawValue, crop: settings.crop, batchPerRank: settings.batch,
      ranks: communicator.size, threads: settings.threads, precision: settings.precision.rawValue,
      kernels: KernelSelection.instructionSet, steps: settings.steps,
      imagesPerSecond: images / seconds, secondsPerStep: seconds, secondsPerPhase: phases,
      gflopsPerSecond: work * images / seconds / 1e9, gemmGflopsPerSecond: 0, percentOfGemm: 0,
      peakMemoryBytes: try communicator.allReduce(peakMemory(), .max),
      dataWaitFraction: (phases["load"] ?? 0) / seconds)
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
  }

  /// Standard deviation; 0 of fewer than two values.
  static func deviation(_ values: [Double]) -> Double {
    guard values.count > 1 else { return 0 }
    let mean = values.reduce(0, +) / Double(values.count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (squares / Double(values.count - 1)).squareRoot()
  }

  /// Bytes of this process at its largest.
  static func peakMemory() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }
}

/// Shards of noise in a temporary folder that all ranks of a node share.
private struct NoiseShards {
  let folder: String
  var pattern: String { "\(folder)/*.h5" }

  init(crop: Int, images: Int, _ communicator: Communicator) throws {
    let base = FileManager.default.temporaryDirectory.path
    // Hosts may share the folder for temporary files.
    folder =
      try communicator.broadcast("\(base)/rfm-benchmark-\(getpid())") + "-\(communicator.hostName)"
    // One rank of each node writes.
    if communicator.nodeRank == 0 {
      try DurableFile.makeFolder(folder)
      let side = crop + crop / 7
      let writer = try ShardWriter(
        path: "\(folder)/noise.h5", height: side, width: side, methodNames: ["real", "noise"],
        hasSources: false)
      var generator = CounterGenerator(seed: 5, purpose: .synthesis)
      for image in 0..<images {
        let pixels = (0..<side * side * 3).map { _ in
          UInt8(truncatingIfNeeded: generator.nextUInt32())
        }
        try writer.append(image: pixels, method: image % 2)
      }
      try writer.finish()
    }
    try communicator.barrier()
  }

  func remove(_ communicator: Communicator) {
    if communicator.nodeRank == 0 { try? FileManager.default.removeItem(atPath: folder) }
  }
}
