import Foundations

/// Why a video could not be read. One line that names the file.
public struct VideoError: ReportableError, Sendable {
  public enum Reason: Sendable, Equatable {
    /// Something other than a video, or a file that only leads to one.
    case notAVideo
    /// Cut short or corrupt, so that nothing of it decodes.
    case damaged
    /// Sound, or so it seems, but of a kind that can't be decoded or shown.
    case unsupported
    /// Larger frames, or more of them, than is allowed.
    case tooLarge
    /// No frame within the time, or the bytes, that are allowed.
    case stalled
    /// The operating system refused.
    case inputOutput
    /// The caller asked for it.
    case cancelled

    fileprivate var words: String {
      switch self {
      case .notAVideo: "no video"
      case .damaged: "damaged video"
      case .unsupported: "unsupported video"
      case .tooLarge: "too large a video"
      case .stalled: "no progress"
      case .inputOutput: "unreadable"
      case .cancelled: "stopped"
      }
    }
  }

  public let path: BytePath
  public let reason: Reason
  /// What is wrong and what to do, without the name.
  public let detail: String
  /// What the file is, or what is wrong with it, in a word or two: for counting many of them.
  public let kind: String

  /// - Parameter kind: nil for the words that go with the reason.
  public init(path: BytePath, reason: Reason, detail: String, kind: String? = nil) {
    self.path = path
    self.reason = reason
    self.detail = detail
    self.kind = kind ?? reason.words
  }

  public var description: String { "\(path): \(detail)" }

  public var exitStatus: ExitStatus {
    switch reason {
    case .inputOutput: .inputOutput
    case .cancelled: .stopped
    default: .badData
    }
  }
}
