import Foundations

/// Why `pack` stopped. One line that says what to do.
public enum PackError: ReportableError, Sendable {
  /// What was asked for makes no sense.
  case usage(String)
  /// The images or their layout are not what they must be.
  case badData(String)
  /// A file could not be read or written.
  case inputOutput(String)
  /// Whoever called asked for the end.
  case cancelled

  public var description: String {
    switch self {
    case .usage(let text), .badData(let text), .inputOutput(let text): text
    case .cancelled: "stopped on request; the same command goes on from what is done"
    }
  }

  public var exitStatus: ExitStatus {
    switch self {
    case .usage: .usage
    case .badData: .badData
    case .inputOutput: .inputOutput
    case .cancelled: .stopped
    }
  }
}
