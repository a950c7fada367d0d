import Foundations
import MessagePassing

/// What a command does on all ranks: if one stalls, the job ends with its name and status 74.
public enum WatchedRanks {
  /// The setting of what has a configuration.
  private static let key = "communication.watchdog_seconds"

  /// Does this rank's part of a command with a configuration, which says how long ranks wait, once all
  /// ranks have agreed on what they do (``RankStatement``).
  public static func run<Outcome>(
    _ configuration: Configuration, _ work: (Communicator) throws -> Outcome
  ) throws -> Outcome {
    try run(
      seconds: configuration.communication.watchdogSeconds, setting: key,
      configuration: configuration, work)
  }

  /// Does this rank's part of a command, likewise.
  ///
  /// - Parameters:
  ///   - seconds: how long a rank waits for one that does nothing; 0: for ever.
  ///   - setting: what they are called where they are set.
  ///   - configuration: that of the command, if it has one.
  public static func run<Outcome>(
    seconds: Double, setting: String, configuration: Configuration? = nil,
    _ work: (Communicator) throws -> Outcome
  ) throws -> Outcome {
    try Watchdog.watching(
      limit: seconds, setting: setting, exitStatus: ExitStatus.inputOutput.rawValue,
      agree: { try RankStatement.current(configuration).agree($0) }, work)
  }
}
