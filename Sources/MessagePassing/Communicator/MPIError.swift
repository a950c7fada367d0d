import COpenMPI
import Foundations

/// A failure that MPI reported, in MPI's own words.
public struct MPIError: ReportableError, Equatable {
  /// The MPI function that failed, e.g. `MPI_Allreduce`.
  public var operation: String
  /// The rank it failed on, in the communicator it was called with; nil before ranks are known.
  public var rank: Int?
  /// MPI's text, e.g. `MPI_ERR_COUNT: invalid count argument`.
  public var text: String

  public init(operation: String, rank: Int?, text: String) {
    self.operation = operation
    self.rank = rank
    self.text = text
  }

  public var description: String {
    let place = rank.map { " on rank \($0)" } ?? ""
    return "\(operation) failed\(place): \(text)"
  }

  public var exitStatus: ExitStatus { .inputOutput }

  /// Throws what `code` means unless it is success.
  static func check(
    _ code: Int32, _ operation: @autoclosure () -> String, rank: Int?
  ) throws(MPIError) {
    if code == 0 { return }
    let text = string(capacity: 1024) { rfm_mpi_error_text(code, $0, $1) }
    throw MPIError(operation: operation(), rank: rank, text: text)
  }
}

/// The zero-terminated text that a C function writes into a buffer.
func string(capacity: Int, _ fill: (UnsafeMutablePointer<CChar>, Int) -> Void) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
    buffer.initialize(repeating: 0)
    fill(buffer.baseAddress!, capacity)
    return String(cString: buffer.baseAddress!)
  }
}
