import Configuration
import FaceShards
import Foundations

/// A run goes on with the settings that it began with.
package enum SettingsComparison {
  /// Checks that the keys to be insisted on are keys.
  package static func check(forced: [String]) throws {
    for key in forced where Configuration.keysByPath[key] == nil {
      let near = nearest(to: key, among: Configuration.keys.map(\.path))
      throw ConfigurationError(
        place: "--force \(key)",
        problem: "is no key of the configuration" + (near.map { "; did you mean '\($0)'?" } ?? ""),
        exitStatus: .usage)
    }
  }

  /// Compares a configuration with that of the run so far, key by key, and the training shards with
  /// those of then. Differences that leave the result alone are told, as are those in `forced`; others
  /// are refused.
  ///
  /// - Throws: ``ChangedSettingsError`` with all that are refused.
  package static func check(
    _ configuration: Configuration, _ shards: ShardFingerprint, continuing checkpoint: Checkpoint,
    in folder: RunFolder, forced: [String], say: (String) -> Void
  ) throws {
    let earlier: Configuration
    do {
      earlier = try Configuration.load(path: folder.configurationPath)
    } catch {
      guard checkpoint.state.configurationDigest == configuration.digest else {
        throw CheckpointError(
          path: folder.configurationPath,
          problem: "can't be read, and by its digest the run so far had other settings (\(error))")
      }
      say("warning: \(error); by its digest the run so far had the same settings")
      return
    }
    var differences = configuration.differences(from: earlier)
    // The same pattern may name other files than before.
    if let before = JSON.object(checkpoint.state.details)["training_shards"]?.textValue,
      before != shards.description, !differences.contains(where: { $0.key == "data.train" })
    {
      differences.append(
        .init(key: "data.train", before: before, after: shards.description, isHarmless: false))
    }
    let refused = differences.filter { !$0.isHarmless && !forced.contains($0.key) }
    guard refused.isEmpty else { throw ChangedSettingsError(differences: refused) }
    for difference in differences { say("changed since the run began: \(difference)") }
  }
}

/// Settings that decide the result differ from the run's so far.
public struct ChangedSettingsError: ReportableError {
  let differences: [Configuration.Difference]

  public var description: String {
    let changes = differences.map { "\($0)" }.joined(separator: "; ")
    let options = differences.map { "--force \($0.key)" }.joined(separator: " ")
    return "\(changes): this would change the result of the run. Set it back, begin a run with "
      + "another run.name, or insist with \(options)"
  }

  public var exitStatus: ExitStatus { .badData }
}
