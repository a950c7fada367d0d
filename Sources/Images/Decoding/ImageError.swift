import Foundations

/// Why a file could not be read or written as an image. One line that names the file.
public struct ImageError: ReportableError, Sendable {
  public enum Reason: Sendable, Equatable {
    /// None of the formats that are read, or a kind of them that can't be.
    case notAnImage
    /// Cut short or corrupt.
    case damaged
    /// More pixels, or more memory to decode, than is allowed.
    case tooLarge
    /// The operating system refused.
    case inputOutput

    fileprivate var words: String {
      switch self {
      case .notAnImage: "no known format"
      case .damaged: "damaged"
      case .tooLarge: "too large"
      case .inputOutput: "unreadable"
      }
    }
  }

  public let name: String
  public let reason: Reason
  /// What is wrong, without the name.
  public let detail: String
  /// What the file is, or what is wrong with it, in a word or two: for counting many of them.
  public let kind: String

  /// - Parameter kind: nil for the words that go with the reason.
  public init(name: String, reason: Reason, detail: String, kind: String? = nil) {
    self.name = name
    self.reason = reason
    self.detail = detail
    self.kind = kind ?? reason.words
  }

  public var description: String { "\(name): \(detail)" }
  public var exitStatus: ExitStatus { reason == .inputOutput ? .inputOutput : .badData }
}
