import Foundations

/// A file of tensors that is wrong, and how.
public struct TensorFileError: ReportableError, Equatable {
  public let path: String
  /// The tensor concerned; nil where it is the file as a whole.
  public let tensor: String?
  public let problem: String

  public var description: String {
    let file = printable(path, limit: 400)
    if let tensor { return "\(file): tensor '\(printable(tensor))' \(problem)" }
    return "\(file) \(problem)"
  }

  public var exitStatus: ExitStatus { .badData }
}
