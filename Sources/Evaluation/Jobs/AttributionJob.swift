import Checkpoints
import FaceShards
import ForgeryMining
import Foundations
import MessagePassing
import Tensors

/// Names the method behind every fake image by its prototypes, and measures how often it is right:
/// `attribution.json`.
public struct AttributionJob {
  /// What `attribution.json` holds.
  public struct Report: Encodable {
    public let evaluation: AttributionEvaluation
    public let similarities: [String: [[Double]]]

    private enum Keys: String, CodingKey { case prototypeSimilarity = "prototype_similarity" }

    public func encode(to encoder: any Encoder) throws {
      try evaluation.encode(to: encoder)
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(similarities, forKey: .prototypeSimilarity)
    }
  }

  /// Collective. Rank 0 writes and gets the report, the others nil.
  ///
  /// - Parameter warn: told of what the user should know, a line at a time.
  /// - Throws: what reading shards and prototypes throws, ``OtherPrototypes``, ``NonFiniteMap``,
  ///   `FileError`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, prototypes path: String, data: [String], output: String, batch: Int,
    communicator: Communicator, workers: WorkerPool, warn: (String) -> Void = { _ in }
  ) throws -> Report? {
    let file = try PrototypesFile(reading: path, communicator: communicator)
    let prototypes = file.prototypes
    let crop = loaded.crop
    try file.require(loaded, path: path)
    if let mismatch = file.mismatch(with: loaded, path: path) { warn(mismatch) }
    let set = try loaded.open(data, communicator: communicator, tell: warn)
    let pass = DatasetPass(loaded, batch: batch, communicator: communicator, workers: workers)
    let fakes = (0..<set.count).filter { set.labels[$0] != 0 }
    guard !fakes.isEmpty else { throw PrototypeSurvey.NoForgeries(file: set.shards[0].path) }
    try JobOutput.makeFolder(output, communicator)
    let mine = pass.part(fakes)
    RankStatus.enter(.attributing)
    let progress = communicator.isRoot ? ProgressLine("image", total: mine.count) : nil
    var trial = AttributionTrial(prototypes)
    var normalised = [Float](repeating: 0, count: crop * crop)
    try pass.maps(.fam, set, mine) { image in
      normalised.withUnsafeMutableBufferPointer {
        normaliseAttention(image.map, height: crop, width: crop, into: $0)
      }
      guard image.isFinite else {
        let (shard, row) = set.place(of: image.sample)
        throw NonFiniteMap(file: set.shards[shard].path, row: row)
      }
      normalised.withUnsafeBufferPointer {
        _ = trial.add($0, method: set.methodNames[Int(set.methods[image.sample])])
      }
      progress?.update(image.place + 1)
    }
    progress?.finish()
    guard let rows = try communicator.gather(trial.rows) else { return nil }
    trial.rows = rows.flatMap { $0 }
    let calibration = file.calibration
    let report = Report(
      evaluation: AttributionEvaluation(
        trial,
        preferred: calibration.plainAccuracy == nil && calibration.centredAccuracy == nil
          ? nil : calibration.kind,
        plainThreshold: calibration.plainThreshold,
        centredThreshold: calibration.centredThreshold),
      similarities: [
        "plain": prototypes.similarityMatrix(.plain),
        "centred": prototypes.similarityMatrix(.centred),
      ])
    try JobOutput.write(report, to: "\(output)/attribution.json")
    return report
  }
}
