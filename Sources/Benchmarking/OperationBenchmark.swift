import CKernels
import Foundations
import MessagePassing
import Networks
import Tensors
import Training

/// Measures where a step's time goes, operation by operation, and holds it against a roofline (Williams,
/// Waterman and Patterson, Communications of the ACM 2009): `rfm benchmark --operations`.
///
/// An operation can't take less time than its multiply-adds take at the rate of the processor's registers, or
/// its maps and weights at that of memory, whichever is more. Both rates are measured on the same threads in the
/// same run. A map may still lie in a cache where another operation has left it: an operation that memory
/// bounds may come out above its limit.
public enum OperationBenchmark {
  /// A pass over a batch, as the step makes it.
  public enum Pass: String, Codable, Sendable {
    case attention, update, inference
  }

  /// What an operation did in one direction of a pass.
  public struct Row: Codable, Sendable {
    public enum Bound: String, Codable, Sendable { case arithmetic, memory }

    public var pass: Pass
    public var isBackward: Bool
    /// Published name of the layer.
    public var layer: String
    public var kind: String
    /// Height, width, channels of what it makes.
    public var output: [Int]
    /// Of a pass over the batch, on all threads: what they spent together over their number.
    public var seconds: Double
    /// Two a multiply-add.
    public var flops: Double
    public var bytes: Double
    /// What it would take at least.
    public var limitSeconds: Double
    public var bound: Bound
    /// The limit over the time: 1 is as fast as it can be.
    public var share: Double { limitSeconds / seconds }

    enum CodingKeys: String, CodingKey {
      case pass, layer, kind, output, seconds, flops, bytes, bound
      case isBackward = "backward"
      case limitSeconds = "limit_seconds"
    }
  }

  public struct Report: Codable, Sendable {
    public var model: String
    public var crop: Int
    public var batch: Int
    public var threads: Int
    public var precision: String
    public var kernels: String
    /// How bfloat16 was multiplied, where that is the precision.
    public var bfloat16Multiply: String?
    /// The library that multiplied float32.
    public var float32Multiply: String?
    /// Operations a second at most, of all threads: multiply-adds on registers, or the rate of matrix multiplies
    /// where that is more (in bfloat16).
    public var arithmeticLimit: Double
    /// Bytes a second at most, of all threads: two reads and a write of arrays that no cache holds.
    public var memoryLimit: Double
    /// Of each pass, from begin to end, median.
    public var passSeconds: [String: Double]
    public var rows: [Row]

    enum CodingKeys: String, CodingKey {
      case model, crop, batch, threads, precision, kernels, rows
      case arithmeticLimit = "arithmetic_limit"
      case memoryLimit = "memory_limit"
      case passSeconds = "pass_seconds"
      case bfloat16Multiply = "bfloat16_multiply"
      case float32Multiply = "float32_multiply"
    }

    /// Rows of the same kind, pass and direction as one, the slowest first.
    public var byKind: [Row] {
      var sums: [String: Row] = [:]
      for row in rows {
        let key = "\(row.pass.rawValue) \(row.isBackward) \(row.kind)"
        guard var sum = sums[key] else {
          sums[key] = row
          continue
        }
        sum.seconds += row.seconds
        sum.flops += row.flops
        sum.bytes += row.bytes
        sum.limitSeconds += row.limitSeconds
        sums[key] = sum
      }
      return sums.sorted { ($1.value.seconds, $0.key) < ($0.value.seconds, $1.key) }.map { row in
        var row = row.value
        row.bound =
          row.flops / arithmeticLimit >= row.bytes / memoryLimit ? .arithmetic : .memory
        return row
      }
    }
  }

  /// - Parameters:
  ///   - settings: what is measured; `inference` instead of attention and update.
  ///   - communicator: of one rank.
  /// - Throws: what settling how matrices are multiplied throws.
  public static func run(_ settings: BenchmarkSettings, _ communicator: Communicator) throws
    -> Report
  {
    let workers = WorkerPool(threads: settings.threads)
    try SettledMultiplies.take(settings.training, communicator, workers)
    let arithmetic = max(
      multiplyAddRate(workers), MultiplyRate.measure(settings.precision, workers))
    let memory = memoryRate(workers)
    let detector = Detector(settings.model)
    detector.initialise(seed: 5)
    let images = AlignedMemory(size: settings.batch * settings.crop * settings.crop * 3 * 4)
    var generator = CounterGenerator(seed: 5, purpose: .synthesis)
    for i in 0..<images.size / 4 {
      images.floats()[i] = Float(generator.nextUInt32()) / Float(UInt32.max) * 2 - 1
    }
    var report = Report(
      model: settings.model.rawValue, crop: settings.crop, batch: settings.batch,
      threads: settings.threads, precision: settings.precision.rawValue,
      kernels: KernelSelection.instructionSet, bfloat16Multiply: settings.bfloat16Multiply,
      float32Multiply: MatrixMultiply.library,
      arithmeticLimit: arithmetic, memoryLimit: memory,
      passSeconds: [:], rows: [])
    if settings.inference {
      infer(settings, detector, images, workers, &report)
    } else {
      train(settings, detector, images, workers, &report)
    }
    return report
  }

  private static func infer(
    _ settings: BenchmarkSettings, _ detector: Detector, _ images: AlignedMemory,
    _ workers: WorkerPool, _ report: inout Report
  ) {
    let program = InferenceProgram(
      detector, crop: settings.crop, precision: settings.precision,
      groupSize: DetectorGroups.size(images: settings.batch), workers: workers)
    let logits = AlignedMemory(size: settings.batch * 2 * 4)
    var seconds: [Double] = []
    program.refresh()
    for number in 0..<settings.warmup + settings.steps {
      if number == settings.warmup { program.measureOperations() }
      let watch = Stopwatch()
      program.run(images: images.floats(), count: settings.batch, logits: logits.floats())
      if number >= settings.warmup { seconds.append(watch.seconds) }
    }
    report.add(
      .inference, seconds, program.operationProfiles(images: settings.batch), settings.steps)
  }

  private static func train(
    _ settings: BenchmarkSettings, _ detector: Detector, _ images: AlignedMemory,
    _ workers: WorkerPool, _ report: inout Report
  ) {
    let update = TrainingProgram(
      detector, crop: settings.crop, batch: settings.batch, precision: settings.precision,
      workers: workers)
    let attention = AttentionProgram(
      detector, crop: settings.crop, precision: settings.precision,
      groupSize: DetectorGroups.size(images: settings.batch), workers: workers, sharing: update)
    let gradients = AlignedMemory(size: images.size)
    let labels = AlignedMemory(size: settings.batch)
    let label = labels.address.assumingMemoryBound(to: UInt8.self)
    for i in 0..<settings.batch { label[i] = UInt8(i % 2) }
    var seconds: (attention: [Double], update: [Double]) = ([], [])
    let selected = Array(0..<settings.batch)
    for number in 0..<settings.warmup + settings.steps {
      update.refresh()
      attention.refresh()
      if number == settings.warmup {
        update.measureOperations()
        attention.measureOperations()
      }
      let watch = Stopwatch()
      selected.withUnsafeBufferPointer {
        attention.run(
          images: images.floats(), selected: $0, logits: nil, gradients: gradients.floats())
      }
      let half = watch.seconds
      do {
        _ = try update.forward(images: images.floats(), labels: label)
        try update.backward()
      } catch {
        preconditionFailure("one rank reduces nothing, and yet: \(error)")
      }
      if number >= settings.warmup {
        seconds.attention.append(half)
        seconds.update.append(watch.seconds - half)
      }
    }
    report.add(
      .attention, seconds.attention, attention.operationProfiles(images: settings.batch),
      settings.steps)
    report.add(.update, seconds.update, update.operationProfiles(), settings.steps)
  }

  // MARK: Limits

  /// The best of a few: other work on the machine only takes from it.
  private static func best(_ measure: () -> Double) -> Double {
    (0..<7).map { _ in measure() }.max()!
  }

  /// Floating-point operations a second of multiply-adds on registers.
  static func multiplyAddRate(_ workers: WorkerPool) -> Double {
    let turns = 1_000_000
    let flops = Double(workers.count * turns) * rfm_multiply_adds(1)
    return best {
      let watch = Stopwatch()
      workers.run(workers.count) { _, _ in _ = rfm_multiply_adds(Int64(turns)) }
      return flops / watch.seconds
    }
  }

  /// Bytes a second of out += in over arrays that no cache holds.
  static func memoryRate(_ workers: WorkerPool) -> Double {
    // Of all threads together no more than what is surely there.
    let count = max(4 << 20, min(24 << 20, (512 << 20) / workers.count))
    let arrays = (0..<workers.count).map { _ in
      (AlignedMemory(size: count * 4), AlignedMemory(size: count * 4))
    }
    workers.run(workers.count) { task, _ in
      for array in [arrays[task].0, arrays[task].1] {
        array.floats().update(repeating: 1, count: count)
      }
    }
    return best {
      let watch = Stopwatch()
      workers.run(workers.count) { task, _ in
        rfm_accumulate(arrays[task].0.floats(), arrays[task].1.floats(), count)
      }
      return Double(workers.count * count * 3 * 4) / watch.seconds
    }
  }
}

extension OperationBenchmark.Report {
  fileprivate mutating func add(
    _ pass: OperationBenchmark.Pass, _ seconds: [Double], _ profiles: [OperationProfile],
    _ runs: Int
  ) {
    passSeconds[pass.rawValue] = BenchmarkJob.median(seconds)
    for isBackward in pass == .inference ? [false] : [false, true] {
      for profile in profiles {
        let cost = isBackward ? profile.backward : profile.forward
        let spent = isBackward ? profile.backwardSeconds : profile.forwardSeconds
        let (flops, bytes) = (2 * Double(cost.multiplyAdds), Double(cost.bytes))
        let limits = (arithmetic: flops / arithmeticLimit, memory: bytes / memoryLimit)
        rows.append(
          OperationBenchmark.Row(
            pass: pass, isBackward: isBackward, layer: profile.name, kind: profile.kind,
            output: profile.output, seconds: spent / Double(runs * threads), flops: flops,
            bytes: bytes, limitSeconds: max(limits.arithmetic, limits.memory),
            bound: limits.arithmetic >= limits.memory ? .arithmetic : .memory))
      }
    }
  }
}
