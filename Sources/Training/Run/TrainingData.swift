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
  let order: SampleOrder
  /// Positions in an epoch, the same on every rank: the longest of the ranks' orders where they have
  /// their own shards.
  let epochLength: Int
  /// Samples of a global batch, accumulation included, as the order counts them: of all ranks, or of
  /// this one where ranks have their own shards and so their own orders.
  let samplesPerStep: Int
  /// Samples that all ranks together take in a step.
  let globalBatch: Int

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
    let all = try ShardSet(patterns: data.train)
    let seed = UInt64(configuration.run.seed)
    let kind: SampleOrderKind =
      data.order == .sequential
      ? .sequential : data.sampling == .balanced ? .balanced : .uniform
    let perRank = configuration.training.batchPerRank * configuration.training.accumulate
    globalBatch = perRank * communicator.size
    switch data.assignment {
    case .sample:
      training = all
      shards = try all.fingerprint()
      try SharedShards.agree(
        on: shards, patterns: data.train,
        advice: ", or let each have its own with data.assignment: shard",
        communicator: communicator)
      (rank, ranks) = (communicator.rank, communicator.size)
      samplesPerStep = globalBatch
    case .shard:
      let seen = try communicator.allGatherUnequal(ShardIdentity.encode(all.identities()))
        .map(ShardIdentity.decode)
      training = try all.assigned(rank: communicator.rank, seen: seen)
      shards = ShardIdentity.fingerprint(of: seen)
      (rank, ranks) = (0, 1)
      samplesPerStep = perRank
    }
    let validation =
      data.validation.isEmpty
      ? nil : try SharedShards.open(data.validation, communicator: communicator)
    // What would end the training at its first validation should not let it begin.
    for set in [training, validation].compactMap(\.self) { try set.checkFits(crop: data.crop) }
    try validation?.check(preprocessing: training.preprocessing, of: training.shards[0].path)
    let excluded = try MethodExclusion(
      data.excludeMethods, among: training.methodNames + (validation?.methodNames ?? []))
    let images = training
    guard (0..<images.count).contains(where: { excluded.includes($0, of: images) }) else {
      throw MethodExclusion.NothingLeft(file: images.shards[0].path)
    }
    order = try SampleOrder(labels: images.labels, kind: kind, seed: seed) {
      excluded.includes($0, of: images)
    }
    epochLength = try communicator.allReduce(order.epochLength, .max)
    self.validation = validation
    validationSamples = validation.map(excluded.samples) ?? []
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
