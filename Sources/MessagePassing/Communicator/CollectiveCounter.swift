import Synchronization

/// The collectives of a communicator that this rank has come to: by these counts ranks see who is
/// behind, since all ranks call the same collectives in the same order.
///
/// Noting an arrival is a few stores; whoever measures time looks at them from outside.
final class CollectiveCounter: Sendable {
  /// Collectives that this rank has come to.
  let count = Atomic<Int>(0)
  /// It has not come out of the last one yet.
  let isInside = Atomic<Bool>(false)
  /// The address of the last one's name.
  private let operation = Atomic<UInt>(0)

  func arrive(at operation: StaticString) {
    self.operation.store(UInt(bitPattern: operation.utf8Start), ordering: .relaxed)
    count.wrappingAdd(1, ordering: .relaxed)
    isInside.store(true, ordering: .releasing)
  }

  func leave() { isInside.store(false, ordering: .releasing) }

  /// The last collective's name, MPI's if it is MPI's, such as `MPI_Allreduce`.
  var operationName: String {
    guard let address = UnsafePointer<UInt8>(bitPattern: operation.load(ordering: .relaxed)) else {
      return "no collective"
    }
    return String(cString: address)
  }

  /// Those of the communicator over all ranks.
  static let world = CollectiveCounter()
  /// Those of its duplicates, of however many there were: a job that trains several times makes some
  /// for each training.
  static let duplicates = CollectiveCounter()
  /// What watchdogs look at.
  static let watched = [world, duplicates]
}
