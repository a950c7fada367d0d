import Synchronization
import Testing

@testable import Networks
@testable import Tensors

/// Loops over images that several workers share.
@Suite struct SharedLoopTests {
  /// The owner's first image waits for the other one, which somebody else has to do meanwhile.
  @Test func helpComesWhileTheOwnerIsAtAnImage() {
    let shared = SharedLoop("")
    let done = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    WorkerPool(threads: 2).run(2) { task, _ in
      if task == 1 {
        while !isOver.load(ordering: .acquiring) {
          _ = shared.help { _, _ in done.wrappingAdd(1, ordering: .releasing) }
        }
        return
      }
      shared.run(2, "both") { _, _ in
        while done.load(ordering: .acquiring) == 0 {}
        done.wrappingAdd(1, ordering: .relaxed)
      }
      isOver.store(true, ordering: .releasing)
    }
    #expect(done.load(ordering: .relaxed) == 2)
  }

  /// The owner runs loops of many lengths; the others help until it has ended.
  @Test(arguments: 1...4) func everyImageIsDoneOnceBeforeItsLoopEnds(threads: Int) {
    let loops = 3000
    let counts = (0..<loops).map { ($0 * 7) % 6 }
    let shared = SharedLoop(0)
    let sums = Atomic<Int>(0)
    let wrong = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    let current = Atomic<Int>(-1)
    let work: (Int, Int) -> Void = { loop, image in
      // Work belongs to the loop under way, and to one of its images.
      if loop != current.load(ordering: .relaxed) || image >= counts[loop] {
        wrong.wrappingAdd(1, ordering: .relaxed)
      }
      sums.wrappingAdd(1 << (8 * image), ordering: .relaxed)
    }
    WorkerPool(threads: threads).run(threads) { task, _ in
      if task > 0 {
        while !isOver.load(ordering: .relaxed) { _ = shared.help(work) }
        return
      }
      for loop in 0..<loops {
        current.store(loop, ordering: .relaxed)
        sums.store(0, ordering: .relaxed)
        shared.run(counts[loop], loop, work)
        let expected = (0..<counts[loop]).reduce(0) { $0 + 1 << (8 * $1) }
        if sums.load(ordering: .relaxed) != expected { wrong.wrappingAdd(1, ordering: .relaxed) }
      }
      isOver.store(true, ordering: .relaxed)
    }
    #expect(wrong.load(ordering: .relaxed) == 0)
    #expect(!shared.help(work))
  }
}
