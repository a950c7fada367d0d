import Synchronization

/// The collectives of one communicator that this rank has come to: by these counts ranks see who is
/// behind, since all ranks call the same collectives in the same order.
///
/// Noting an arrival is two stores; whoever measures time looks at them from outside.
final class Arrivals: Sendable {
  /// Collectives that this rank has come to.
  let count = Atomic<Int>(0)
  /// It has not come out of the last one yet.
  let isInside = Atomic<Bool>(false)
  /// The address of the last one's name.
  private let operation = Atomic<UInt>(0)

  func arrive(at operation: StaticString) {
    self.operation.store(UInt(bitPattern: operation.utf8Start), ordering: .relaxed)
    count.store(count.load(ordering: .relaxed) + 1, ordering: .relaxed)
    isInside.store(true, ordering: .releasing)
  }

  func leave() { isInside.store(false, ordering: .releasing) }

  /// MPI's name of the last collective, such as `MPI_Allreduce`.
  var operationName: String {
    guard let address = UnsafePointer<UInt8>(bitPattern: operation.load(ordering: .relaxed)) else {
      return "no collective"
    }
    return String(cString: address)
  }

  /// What watchdogs look at: the counts of the first communicators over all ranks, which every rank
  /// makes in the same order.
  private static let all = Mutex<[Arrivals]>([])
  /// How many are looked at.
  static let mostWatched = 4

  /// A count that watchdogs look at.
  static func watched() -> Arrivals {
    let arrivals = Arrivals()
    all.withLock { if $0.count < mostWatched { $0.append(arrivals) } }
    return arrivals
  }

  static var allWatched: [Arrivals] { all.withLock { $0 } }
}
