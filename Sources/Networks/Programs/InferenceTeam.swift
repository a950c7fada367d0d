import CKernels
import Glibc
import Synchronization
import Tensors

/// The workers that take groups of images through a ``InferenceNetwork``, a group each at a time.
///
/// Whoever finds no group left helps those who are still at theirs, image by image. So a batch of few
/// groups keeps all workers busy, and one that the system has disturbed does not keep the others waiting
/// for long. What is computed for an image does not depend on who does it.
final class InferenceTeam: @unchecked Sendable {
  private let workers: WorkerPool
  private let passes: [InferencePass]
  private let nextGroup = Atomic<Int>(0)
  private let finishedGroups = Atomic<Int>(0)
  private nonisolated(unsafe) var groups = 0
  private nonisolated(unsafe) var body: (InferencePass, _ group: Int) -> Void = { _, _ in }
  /// Made once, so that `run` allocates nothing.
  private var takeGroups: (Int, Int) -> Void = { _, _ in }

  init(_ network: InferenceNetwork, forBackward: Bool) {
    workers = network.workers
    passes = (0..<workers.count).map { _ in InferencePass(network, forBackward: forBackward) }
    takeGroups = { [unowned self] _, worker in work(passes[worker]) }
  }

  /// Runs `body(pass, group)` for every group in 0..<groups and returns when all are done.
  func run(_ groups: Int, _ body: @escaping (InferencePass, _ group: Int) -> Void) {
    self.groups = groups
    self.body = body
    nextGroup.store(0, ordering: .relaxed)
    finishedGroups.store(0, ordering: .relaxed)
    workers.run(groups == 0 ? 0 : workers.count, takeGroups)
  }

  private func work(_ own: InferencePass) {
    while true {
      let group = nextGroup.wrappingAdd(1, ordering: .relaxed).oldValue
      if group >= groups { break }
      own.isBehind.store(true, ordering: .relaxed)
      body(own, group)
      own.isBehind.store(false, ordering: .relaxed)
      finishedGroups.wrappingAdd(1, ordering: .releasing)
    }
    var looks = 0
    while finishedGroups.load(ordering: .acquiring) < groups {
      if passes.contains(where: { $0 !== own && $0.help(own.scratch) }) {
        looks = 0
        continue
      }
      looks += 1
      if looks < 20_000 { rfm_pause() } else { usleep(50) }
    }
  }

  /// Before the last stage of a group, whose images take long each: unless there are groups left to take,
  /// helps those who have not come so far yet, so that all come to the end together.
  func letOthersCatchUp(with own: InferencePass) {
    own.isBehind.store(false, ordering: .relaxed)
    if nextGroup.load(ordering: .relaxed) < groups { return }
    // Between two loops of theirs there is a moment without an image to take.
    var looks = 0
    while looks < 2000, passes.contains(where: { $0.isBehind.load(ordering: .relaxed) }) {
      let helped = passes.contains {
        $0.isBehind.load(ordering: .relaxed) && $0.help(own.scratch)
      }
      looks = helped ? 0 : looks + 1
      rfm_pause()
    }
  }
}
