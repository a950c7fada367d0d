/// Failures that all ranks learn of before they end.
package enum CollectiveFailure {
  /// Runs this rank's part of a job. If `body` throws on any rank, `cleanUp` runs on every rank
  /// before the first of them ends the job: a rank that is ended from outside could not remove what
  /// it has half-written. Collective.
  ///
  /// - Throws: what `body` throws on this rank, `MPIError`. Does not return on the ranks that did
  ///   their part when another did not: that one ends them.
  package static func guarding(
    _ communicator: Communicator, _ body: () throws -> Void, cleanUp: () -> Void
  ) throws {
    var failure: (any Error)?
    do { try body() } catch { failure = error }
    guard try communicator.any(failure != nil) else { return }
    cleanUp()
    try communicator.barrier()
    if let failure { throw failure }
    try communicator.barrier()
    preconditionFailure("a rank that has failed ends the others")
  }
}
