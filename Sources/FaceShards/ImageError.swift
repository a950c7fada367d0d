/// Why a file could not be read or written as an image. One line that names the file.
public struct ImageError: Error, CustomStringConvertible, Sendable {
  public enum Reason: Sendable, Equatable {
    /// Something other than JPEG, PNG or PNM, or a kind of them that can't be read.
    case notAnImage
    /// Cut short or corrupt.
    case damaged
    /// More pixels, or more memory to decode, than is allowed.
    case tooLarge
    /// The operating system refused.
    case inputOutput
  }

  public let name: String
  public let reason: Reason
  /// What is wrong, without the name.
  public let detail: String

  public init(name: String, reason: Reason, detail: String) {
    self.name = name
    self.reason = reason
    self.detail = detail
  }

  public var description: String { "\(name): \(detail)" }
}
