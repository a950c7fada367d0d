import Networks
import Tensors

/// The exponential moving average of a detector's weights and running statistics over its updates:
/// a ← a + (1 − d)(w − a) after each, from a = w on.
///
/// Averages of weights often detect better than the last ones do (Polyak and Juditsky 1992; Tan and Le
/// 2019). `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn` and `use_buffers` computes the
/// same; as in timm's `ModelEma`, running statistics are averaged like weights.
public final class WeightAverage {
  /// d, within 0…1.
  public let decay: Double
  /// Laid out like `Detector.values`.
  public let values: UnsafeMutableBufferPointer<Float>
  /// Laid out like `Detector.runningStatistics`.
  public let runningStatistics: UnsafeMutableBufferPointer<Float>

  private let detector: Detector
  private let memory: [AlignedMemory]
  /// Made once, so that a step allocates nothing.
  private var followChunk: (Int, Int) -> Void = { _, _ in }
  private static let chunk = 1 << 16

  /// The average of the detector as it is.
  public init(_ detector: Detector, decay: Double) {
    precondition(decay >= 0 && decay < 1, "a decay within 0..<1, not \(decay)")
    self.detector = detector
    self.decay = decay
    memory = [detector.values, detector.runningStatistics].map {
      AlignedMemory(size: $0.count * MemoryLayout<Float>.stride)
    }
    values = UnsafeMutableBufferPointer(
      start: memory[0].floats(), count: detector.values.count)
    runningStatistics = UnsafeMutableBufferPointer(
      start: memory[1].floats(), count: detector.runningStatistics.count)
    let share = Float(1 - decay)
    followChunk = { [unowned self] task, _ in
      let start = task * Self.chunk
      let end = min(values.count, start + Self.chunk)
      let (average, weights) = (values.baseAddress!, detector.values.baseAddress!)
      for i in start..<end { average[i] += share * (weights[i] - average[i]) }
    }
    begin()
  }

  /// Begins anew with the detector as it is.
  public func begin() {
    _ = values.update(fromContentsOf: detector.values)
    _ = runningStatistics.update(fromContentsOf: detector.runningStatistics)
  }

  /// Takes in the detector after an update.
  public func follow(_ workers: WorkerPool) {
    workers.run((values.count + Self.chunk - 1) / Self.chunk, followChunk)
    let share = Float(1 - decay)
    for i in runningStatistics.indices {
      runningStatistics[i] += share * (detector.runningStatistics[i] - runningStatistics[i])
    }
  }

  /// Runs `body` while the detector has the average's numbers. Programs that hold working weights must be
  /// refreshed within; whatever `body` does to the detector is lost.
  public func withAverage<Result>(_ body: () throws -> Result) rethrows -> Result {
    exchange()
    defer { exchange() }
    return try body()
  }

  private func exchange() {
    for (average, own) in [
      (values, detector.values), (runningStatistics, detector.runningStatistics),
    ] {
      for i in average.indices { swap(&average[i], &own[i]) }
    }
  }
}
