import CHDF5

/// The HDF5 library in use. Where a damaged file makes it crash, the shim says so and ends the process
/// (`on_crash` in `crashes.c`).
public enum HDF5Library {
  /// Its version, such as "1.10.8": that of the running library, not of the headers.
  public static var version: String {
    var numbers: (UInt32, UInt32, UInt32) = (0, 0, 0)
    rfm_h5_library_version(&numbers.0, &numbers.1, &numbers.2)
    return "\(numbers.0).\(numbers.1).\(numbers.2)"
  }

  /// Does `body` while no other thread is in the library: for many short calls, which several threads would
  /// otherwise make by turns, at the cost of as many switches between them.
  public static func alone<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    rfm_h5_hold()
    defer { rfm_h5_release() }
    return try body()
  }
}
