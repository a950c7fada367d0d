import CHDF5
import Foundations

/// What went wrong with an HDF5 file, in one line: the file, the object in it, what was tried, and
/// the library's own innermost message.
public struct HDF5Error: ReportableError, Sendable {
  /// The file's path.
  public let file: String
  /// The dataset or attribute, if it is not the file as a whole.
  public let object: String?
  /// What was tried, as in "cannot read rows 3..<4".
  public let action: String
  /// Why it failed.
  public let reason: String
  /// Whether the operating system refused (no such file, no space, …), in contrast to contents that
  /// are not as they should be.
  public let isInputOutput: Bool

  public init(
    file: String, object: String? = nil, action: String, reason: String,
    isInputOutput: Bool = false
  ) {
    self.file = file
    self.object = object
    self.action = action
    self.reason = reason
    self.isInputOutput = isInputOutput
  }

  /// An error with a message of the library's, of which only the essential is kept.
  init(file: String, object: String?, action: String, library message: String) {
    // As in: file write failed: …, errno = 28, error message = 'No space left on device', buf = …
    let mark = "error message = '"
    if let start = message.firstRange(of: mark)?.upperBound,
      let end = message[start...].firstIndex(of: "'"), end > start
    {
      self.init(
        file: file, object: object, action: action, reason: String(message[start..<end]),
        isInputOutput: true)
    } else if message == Self.filterFailure {
      self.init(
        file: file, object: object, action: action,
        reason: "stored bytes are damaged: they don't unpack, or disagree with their checksum")
    } else if message == "file signature not found" {
      self.init(file: file, object: object, action: action, reason: "it is not an HDF5 file")
    } else {
      self.init(file: file, object: object, action: action, reason: message)
    }
  }

  /// What HDF5 1.14 says of a filter that failed, in place of the filter's own words.
  private static let filterFailure = "filter returned failure during read"

  /// Whether stored bytes are not those that were written: their checksum tells, or they don't unpack.
  public var isDamage: Bool {
    reason.contains("Fletcher32 checksum") || reason.hasPrefix("stored bytes are damaged")
  }

  public var description: String {
    let place = object.map { "\(file), \($0)" } ?? file
    return "\(place): \(action): \(reason)"
  }

  public var exitStatus: ExitStatus { isInputOutput ? .inputOutput : .badData }
}

/// Calls into the shim with room for the message of an error.
enum Shim {
  /// Runs `body` and throws what it reports if its result is negative.
  @discardableResult
  static func check<Result: SignedInteger>(
    file: String, object: String? = nil, action: @autoclosure () -> String,
    _ body: (UnsafeMutablePointer<CChar>, Int) -> Result
  ) throws(HDF5Error) -> Result {
    let (result, reason) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) {
      buffer -> (Result, String) in
      buffer.initialize(repeating: 0)
      rfm_h5_set_context(file)
      let result = body(buffer.baseAddress!, buffer.count)
      return (result, result < 0 ? String(cString: buffer.baseAddress!) : "")
    }
    if result < 0 {
      throw HDF5Error(file: file, object: object, action: action(), library: reason)
    }
    return result
  }
}
