import Checkpoints
import FaceShards
import Foundations
import MessagePassing
import Networks
import Tensors

/// Fits a detector's temperature on validation images, and keeps it in its checkpoint, or in a weights file.
public struct CalibrationJob {
  public struct Report: Sendable {
    public let calibration: Calibration
    /// On these very images.
    public let errorBefore: Double
    public let errorAfter: Double
    /// What was written.
    public let path: String
  }

  /// Bare weights have no place for a calibration.
  public struct NoPlace: ReportableError {
    let source: String
    public var description: String {
      "\(printable(source, limit: 400)) is no checkpoint that the calibration could be kept in: name the "
        + "safetensors file to write the calibrated weights to (--output)"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  /// Collective. Rank 0 writes and gets the report, the others nil.
  ///
  /// - Parameters:
  ///   - output: a safetensors file to write the weights and their temperature to; nil: the checkpoint.
  ///   - warn: told of what the user should know, a line at a time.
  /// - Throws: what reading shards throws, ``NoPlace``, `TemperatureFit.Impossible`, `MetricsError`,
  ///   `CheckpointError`, `FileError`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, data: [String], output: String?, batch: Int,
    communicator: Communicator, workers: WorkerPool, warn: (String) -> Void = { _ in }
  ) throws -> Report? {
    guard output != nil || loaded.checkpoint != nil else { throw NoPlace(source: loaded.source) }
    let set = try loaded.open(data, communicator: communicator, tell: warn)
    if let output { try JobOutput.makeFolder(DurableFile.folder(of: output), communicator) }
    let pass = DatasetPass(loaded, batch: batch, communicator: communicator, workers: workers)
    RankStatus.enter(.scoring)
    let progress =
      communicator.isRoot
      ? ProgressLine("image", total: pass.part(Array(0..<set.count)).count) : nil
    let logits = try pass.logits(set, Array(0..<set.count)) { progress?.update($0) }
    progress?.finish()
    guard let logits else { return nil }
    let labels = Array(set.labels)
    let calibration = try Calibration(fitting: logits, labels: labels, data: data)
    func error(_ temperature: Double) -> Double {
      let probabilities = (0..<set.count).map {
        CrossEntropy.probabilityOfFake(
          real: logits[2 * $0], fake: logits[2 * $0 + 1], temperature: temperature)
      }
      return Reliability(
        probabilities: probabilities, labels: labels, temperature: temperature
      ).error
    }
    let path: String
    if let output {
      var use = loaded.use
      use.temperature = calibration.temperature
      try Safetensors.write(loaded.detector.weights(), metadata: use.metadata, to: output)
      path = output
    } else {
      path = try loaded.checkpoint!.calibrated(with: calibration).path
    }
    return Report(
      calibration: calibration, errorBefore: error(1), errorAfter: error(calibration.temperature),
      path: path)
  }
}
