import Foundations

/// Why faces can't be found or cropped. One line; it names the file where it is about one.
public struct FaceError: ReportableError, Equatable {
  /// The file that is concerned, as the user gave it.
  public let file: String?
  /// What is wrong, and what to do.
  public let detail: String
  public let exitStatus: ExitStatus

  public init(file: String? = nil, detail: String, exitStatus: ExitStatus = .badData) {
    self.file = file
    self.detail = detail
    self.exitStatus = exitStatus
  }

  public var description: String {
    file.map { "\(printable($0, limit: 4096)): \(detail)" } ?? detail
  }
}
