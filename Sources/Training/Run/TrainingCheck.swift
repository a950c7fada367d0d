import Configuration
import FaceShards
import Foundations
import MessagePassing
import Networks

/// Looks whether a training could begin in this place, without beginning it.
///
/// `launch/cluster` compares what it says on every host: the lines are the same wherever the same
/// training would run on the same data.
public enum TrainingCheck {
  /// Opens what the configuration names: shards, which all ranks must see alike, and on rank 0 the
  /// weights, which only it reads, and loads as the training would. Collective.
  ///
  /// - Returns: what was found, a line each, with digests of the settings and the shards. Where ranks
  ///   have their own shards (`data.assignment: shard`) those may differ, and are not told.
  /// - Throws: what the training would throw.
  public static func describe(
    _ configuration: Configuration, communicator: Communicator
  ) throws -> [String] {
    guard !configuration.data.train.isEmpty else { throw TrainingData.MissingDataError() }
    var lines = ["settings \(configuration.digest.prefix(16))"]
    for (name, patterns) in [
      ("training", configuration.data.train), ("validation", configuration.data.validation),
    ] where !patterns.isEmpty {
      let isOwn = name == "training" && configuration.data.assignment == .shard
      let set =
        try isOwn
        ? ShardSet(patterns: patterns) : SharedShards.open(patterns, communicator: communicator)
      try set.checkFits(crop: configuration.data.crop)
      let identities = try set.identities().map { "\($0.name) \($0.count) \($0.digest)\n" }
      if isOwn {
        lines.append("training images in shards of this host's own")
        continue
      }
      let digest = SHA256.hexadecimal(of: Array(identities.joined().utf8)).prefix(16)
      lines.append(
        "\(name) \(set.count) images of \(set.height)x\(set.width) pixels in "
          + "\(set.shards.count) shards, \(digest)")
    }
    let weights = try communicator.agreed { () -> InitialWeights.Loaded? in
      guard let weights = configuration.model.weights, communicator.isRoot else { return nil }
      let detector = Networks.Detector(configuration.model.form)
      return try InitialWeights.load(weights, configuration, into: detector)
    }
    if let loaded = weights {
      lines.append("weights \(loaded.file.tensors.count) tensors, \(loaded.file.form.description)")
      lines += loaded.remarks.map { "\($0)" }
    }
    return lines
  }
}
