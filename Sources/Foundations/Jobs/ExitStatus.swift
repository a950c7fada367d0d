/// How the command ended, as a shell sees it. The numbers are those of `sysexits.h`.
public enum ExitStatus: Int32, Sendable, CaseIterable {
  /// The work is done.
  case done = 0
  /// The command line can't be understood.
  case usage = 64
  /// The configuration, or a file given as input, is wrong or damaged.
  case badData = 65
  /// Something happened that is a fault of `rfm` itself.
  case internalError = 70
  /// A file could not be read or written, or a rank could not be reached.
  case inputOutput = 74
  /// The training was asked to stop (SIGTERM, SIGUSR1), and stopped after saving: start it again
  /// with `--resume`.
  case stopped = 75
}

/// An error that is told to the user as one line, and ends the command with a status of its own.
///
/// `description` names the file, key, tensor or rank that is concerned and what to do about it.
public protocol ReportableError: Error, CustomStringConvertible {
  var exitStatus: ExitStatus { get }
}

extension ExitStatus {
  /// The status that `error` ends the command with: its own where it has one, else
  /// ``internalError``.
  public init(ending error: any Error) {
    self = (error as? any ReportableError)?.exitStatus ?? .internalError
  }
}
