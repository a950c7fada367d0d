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
  /// Opens what the configuration names: shards (of very many some), which all ranks must see alike, and
  /// on rank 0 the weights, which only it reads, and loads as the training would. Collective.
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
      let found = try ShardSurvey(patterns)
      try found.set.checkFits(crop: configuration.data.crop)
      if name == "training" && configuration.data.assignment == .shard {
        lines.append("training images in shards of this host's own")
        continue
      }
      try SharedShards.agree(
        on: found.fingerprint, patterns: patterns, communicator: communicator)
      lines.append("\(name) \(found)")
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
