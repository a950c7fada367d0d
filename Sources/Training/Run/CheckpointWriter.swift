import Checkpoints
import Glibc
import Networks
import Synchronization
import Tensors

/// Writes checkpoints on a thread of its own while the training goes on.
///
/// What a checkpoint holds is copied first, into memory that is planned once, so that the thread sees
/// the weights of one step. At most one checkpoint is under way; the next one waits for it. Only rank
/// 0 has a writer.
final class CheckpointWriter {
  private let store: CheckpointStore
  private let keep: Int
  private let detector: Detector
  /// Where values come from, and where their copies are.
  private let copies: [(source: UnsafeMutableBufferPointer<Float>, copy: AlignedMemory)]
  private let slotNames: [String]
  /// Whether the last two copies are of a ``WeightAverage``.
  private let hasAverage: Bool
  private var underWay: Writing?

  init(
    store: CheckpointStore, keep: Int, _ detector: Detector, _ optimizer: Optimizer,
    _ average: WeightAverage? = nil
  ) {
    self.store = store
    self.keep = keep
    self.detector = detector
    slotNames = optimizer.slots.map(\.name)
    hasAverage = average != nil
    let sources =
      [detector.values, detector.runningStatistics] + optimizer.slots.map(\.values)
      + (average.map { [$0.values, $0.runningStatistics] } ?? [])
    copies = sources.map { ($0, AlignedMemory(size: $0.count * MemoryLayout<Float>.stride)) }
  }

  deinit { underWay?.join() }

  /// Copies the weights, the running statistics, their average and what the optimizer remembers;
  /// the thread then writes. Waits first where the checkpoint before is still being written.
  ///
  /// - Parameters:
  ///   - prototypes: writes `prototypes.h5` to the path it is given; nil: there is none.
  ///   - synchronise: called before the checkpoint gets its name, to have the run's other files on the
  ///     disk.
  ///   - written: told the finished folder.
  /// - Throws: what became of the checkpoint before, as ``wait()``.
  func start(
    _ state: CheckpointState, isBest: Bool, prototypes: PrototypesFile?,
    synchronise: @escaping () throws -> Void, written: @escaping (String) -> Void
  ) throws {
    try wait()
    for (source, copy) in copies {
      copy.floats().update(from: source.baseAddress!, count: source.count)
    }
    let arenas = copies.map { UnsafePointer($0.copy.floats()) }
    let (store, keep, detector, slotNames) = (store, keep, detector, slotNames)
    let hasAverage = hasAverage
    underWay = Writing {
      try synchronise()
      // What the optimizer remembers, as `SLOT.PARAMETER` in published shapes.
      let optimizer = zip(slotNames, arenas.dropFirst(2)).flatMap { slot, arena in
        detector.tensors(of: arena).map {
          var tensor = $0
          tensor.name = "\(slot).\($0.name)"
          return tensor
        }
      }
      let checkpoint = try store.write(
        state, model: detector.weights(values: arenas[0], runningStatistics: arenas[1]),
        average: hasAverage
          ? detector.weights(
            values: arenas[arenas.count - 2], runningStatistics: arenas[arenas.count - 1]) : nil,
        optimizer: optimizer, isBest: isBest,
        prototypes: prototypes.map { file in { try file.write(to: $0) } })
      try store.prune(keep: keep)
      written(checkpoint.path)
    }
  }

  /// Throws if a checkpoint could not be written. Never waits.
  func check() throws {
    if let underWay, underWay.isDone { try wait() }
  }

  /// Waits until the checkpoint under way is on the disk.
  /// - Throws: why it could not be written; then those before it are as they were.
  func wait() throws {
    guard let underWay else { return }
    self.underWay = nil
    underWay.join()
    if let failure = underWay.failure { throw failure }
  }
}

/// A thread that does one piece of work.
private final class Writing: @unchecked Sendable {
  private let work: () throws -> Void
  private var thread = pthread_t()
  private let done = Atomic<Bool>(false)
  /// Why the work failed. Look at it after `join`.
  private(set) var failure: (any Error)?

  var isDone: Bool { done.load(ordering: .acquiring) }

  init(_ work: @escaping () throws -> Void) {
    self.work = work
    let created = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Writing>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    precondition(
      created == 0, "the system refuses another thread: \(String(cString: strerror(created)))")
  }

  func join() { pthread_join(thread, nil) }

  private func run() {
    do { try work() } catch { failure = error }
    done.store(true, ordering: .releasing)
  }
}
