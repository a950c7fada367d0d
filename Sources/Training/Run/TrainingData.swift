import Checkpoints
import Configuration
import FaceShards
import Foundations
import Images
import MessagePassing

/// The shards of a training and the order in which it reads them.
package struct TrainingData {
  package let training: ShardSet
  /// Tells the training shards of all ranks from others.
  let shards: ShardFingerprint
  let validation: ShardSet?
  /// Numbers of the validation images that are looked at.
  let validationSamples: [Int]
  package let order: SampleOrder
  /// Positions in an epoch, the same on every rank: the longest of the ranks' orders where they have
  /// their own shards.
  let epochLength: Int
  /// Samples of a global batch, accumulation included, as the order counts them: of all ranks, or of
  /// this one where ranks have their own shards and so their own orders.
  let samplesPerStep: Int
  /// Samples that all ranks together take in a step.
  let globalBatch: Int
  /// Names of the methods of batches; entry 0 is "real". Those of the shards, and that of fakes that are made of
  /// real faces, if any are.
  package let methodNames: [String]

  private let configuration: Configuration
  private let rank: Int
  private let ranks: Int

  /// Collective.
  package init(_ configuration: Configuration, _ communicator: Communicator) throws {
    let data = configuration.data
    guard !data.train.isEmpty else {
      throw MissingDataError()
    }
    self.configuration = configuration
    let seed = UInt64(configuration.run.seed)
    let kind: SampleOrderKind =
      data.order == .sequential
      ? .sequential : data.sampling == .balanced ? .balanced : .uniform
    let perRank = configuration.training.batchPerRank * configuration.training.accumulate
    globalBatch = perRank * communicator.size
    switch data.assignment {
    case .sample:
      (training, shards) = try SharedShards.open(
        data.train, advice: ", or let each have its own with data.assignment: shard",
        communicator: communicator)
      (rank, ranks) = (communicator.rank, communicator.size)
      samplesPerStep = globalBatch
    case .shard:
      (training, shards) = try SharedShards.assigned(data.train, communicator: communicator)
      (rank, ranks) = (0, 1)
      samplesPerStep = perRank
    }
    let validation =
      data.validation.isEmpty
      ? nil : try SharedShards.open(data.validation, communicator: communicator).set
    // What would end the training at its first validation should not let it begin.
    for set in [training, validation].compactMap(\.self) { try set.checkFits(crop: data.crop) }
    try validation?.check(preprocessing: training.preprocessing, of: training.shards[0].path)
    let excluded = try MethodExclusion(
      data.excludeMethods, among: training.methodNames + (validation?.methodNames ?? []))
    let methods = training.methods
    // By numbers: of ten million samples nobody looks at names.
    let isKept = training.methodNames.map { !data.excludeMethods.contains($0) }
    guard methods.contains(where: { isKept[Int($0)] }) else {
      throw MethodExclusion.NothingLeft(file: training.shards[0].path)
    }
    order = try SampleOrder(
      count: methods.count, kind: kind, seed: seed, selfBlended: SelfBlendedShare(data.selfBlended),
      isFake: { methods[$0] != 0 }, includes: { isKept[Int(methods[$0])] })
    methodNames =
      order.selfBlended.isNone
      ? training.methodNames : try training.methodNamesWithSelfBlended()
    epochLength = try communicator.allReduce(order.epochLength, .max)
    self.validation = validation
    validationSamples = validation.map(excluded.samples) ?? []
  }

  /// Where a checkpoint's details tell `RunVersions.sampleOrder`.
  static let orderName = "sample_order"

  /// Refuses a checkpoint whose position is one of another order than this version has.
  func requireOrder(of checkpoint: Checkpoint) throws {
    try Self.requireOrder(checkpoint.state.details, path: checkpoint.path, kind: order.kind)
  }

  /// - Parameters:
  ///   - details: of a checkpoint.
  ///   - path: where it is.
  ///   - kind: of the order that is to go on; that of the stored one is the same in all versions.
  /// - Throws: `CheckpointError`.
  static func requireOrder(
    _ details: [JSON.Member], path: String, kind: SampleOrderKind
  ) throws {
    let version = JSON.object(details)[orderName]?.integerValue ?? 1
    guard kind != .sequential, version != RunVersions.sampleOrder else { return }
    throw CheckpointError(
      path: path,
      problem: "was saved in the sample order \(version), and this version of rfm draws in order "
        + "\(RunVersions.sampleOrder): go on with the version that saved it (environment.json names it), or "
        + "begin a new run with model.weights: "
        + "\(printable(path, limit: 400))/\(Checkpoint.modelName)")
  }

  /// Updates in a pass over the data.
  var stepsPerEpoch: Int { max(1, epochLength / samplesPerStep) }

  /// The epoch that a position in the order lies in.
  func epoch(at position: Int) -> Int { position / epochLength }

  /// Batches from a step on.
  ///
  /// - Parameter position: where in the order the next global batch begins.
  package func loader(position: Int) throws -> BatchLoader {
    try BatchLoader(
      training: training, order: order, batchSize: configuration.training.batchPerRank,
      crop: configuration.data.crop, flips: configuration.data.flip, rank: rank, ranks: ranks,
      position: position, epochLength: epochLength,
      augmentations: Augmentations(configuration.imageAugmentation),
      threads: configuration.training.threads ?? 1,
      normalisation: PixelNormalisation(configuration.data),
      depth: configuration.data.prefetch)
  }

  struct MissingDataError: ReportableError {
    var description: String {
      "data.train names no shards: set it in the configuration or with --set data.train='d/train-*.h5'"
    }
    var exitStatus: ExitStatus { .badData }
  }
}
