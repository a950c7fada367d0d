import COpenMPI

extension Communicator {
  /// Combines the ranks' buffers element by element; every rank ends with the result in place.
  public func allReduce<T: MPIScalar>(
    _ buffer: UnsafeMutableBufferPointer<T>, _ operation: ReduceOperation = .sum
  ) throws(MPIError) {
    try pieces(of: buffer) { (address, count) throws(MPIError) in
      try collective("MPI_Allreduce") {
        rfm_mpi_allreduce(handle, address, count, T.mpiType, operation.code)
      }
    }
  }

  /// Combines the ranks' arrays element by element; every rank ends with the result.
  public func allReduce<T: MPIScalar>(
    _ values: inout [T], _ operation: ReduceOperation = .sum
  ) throws(MPIError) {
    try withBuffer(of: &values) { (buffer) throws(MPIError) in try allReduce(buffer, operation) }
  }

  /// Combines one value a rank; every rank gets the result.
  public func allReduce<T: MPIScalar>(
    _ value: T, _ operation: ReduceOperation = .sum
  ) throws(MPIError) -> T {
    var values = [value]
    try allReduce(&values, operation)
    return values[0]
  }

  /// Whether `condition` holds on every rank.
  public func all(_ condition: Bool) throws(MPIError) -> Bool {
    try allReduce(condition ? 1 : 0 as UInt8, .min) == 1
  }

  /// Whether `condition` holds on at least one rank.
  public func any(_ condition: Bool) throws(MPIError) -> Bool {
    try allReduce(condition ? 1 : 0 as UInt8, .max) == 1
  }

  /// Begins an `allReduce` and returns at once; `buffer` belongs to MPI until the request is done.
  public func startAllReduce<T: MPIScalar>(
    _ buffer: UnsafeMutableBufferPointer<T>, _ operation: ReduceOperation = .sum
  ) throws(MPIError) -> Request {
    var request = Request("MPI_Iallreduce", rank: rank, counter)
    try pieces(of: buffer) { (address, count) throws(MPIError) in
      try request.add {
        rfm_mpi_iallreduce(handle, address, count, T.mpiType, operation.code, $0)
      }
    }
    return request
  }

  /// Combines the ranks' buffers element by element into `root`'s; the others' stay as they are.
  public func reduce<T: MPIScalar>(
    _ buffer: UnsafeMutableBufferPointer<T>, _ operation: ReduceOperation = .sum, to root: Int = 0
  ) throws(MPIError) {
    try pieces(of: buffer) { (address, count) throws(MPIError) in
      try collective("MPI_Reduce") {
        rfm_mpi_reduce(handle, address, count, T.mpiType, operation.code, Int32(root))
      }
    }
  }

  /// Combines the ranks' arrays element by element into `root`'s; the others' stay as they are.
  public func reduce<T: MPIScalar>(
    _ values: inout [T], _ operation: ReduceOperation = .sum, to root: Int = 0
  ) throws(MPIError) {
    try withBuffer(of: &values) { (buffer) throws(MPIError) in
      try reduce(buffer, operation, to: root)
    }
  }
}
