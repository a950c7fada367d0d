import Synchronization
import Testing

@testable import Tensors

@Suite struct WorkerPoolTests {
  /// How often each task ran, and on which worker last.
  private final class Tally: Sendable {
    let runs: [Counter]
    let strangers = Atomic<Int>(0)

    final class Counter: Sendable {
      let value = Atomic<Int>(0)
    }

    init(_ tasks: Int) { runs = (0..<tasks).map { _ in Counter() } }

    func take(_ task: Int, worker: Int, of count: Int) {
      if task < 0 || task >= runs.count || worker < 0 || worker >= count {
        strangers.wrappingAdd(1, ordering: .relaxed)
      } else {
        runs[task].value.wrappingAdd(1, ordering: .relaxed)
      }
    }

    func allEqual(_ expected: Int) -> Bool {
      strangers.load(ordering: .relaxed) == 0
        && runs.allSatisfy { $0.value.load(ordering: .relaxed) == expected }
    }
  }

  @Test(arguments: [1, 2, 3, 5], [0, 1, 2, 4, 7, 1000])
  func everyTaskRunsOnce(threads: Int, tasks: Int) {
    let pool = WorkerPool(threads: threads)
    #expect(pool.count == threads)
    let tally = Tally(tasks)
    pool.run(tasks) { task, worker in tally.take(task, worker: worker, of: threads) }
    #expect(tally.allEqual(1))
  }

  @Test func manyRunsInARowLoseNoTask() {
    let pool = WorkerPool(threads: 3)
    let tally = Tally(6)
    for _ in 0..<5000 {
      pool.run(6) { task, worker in tally.take(task, worker: worker, of: 3) }
    }
    #expect(tally.allEqual(5000))
  }

  /// Whoever reads after `run` sees what the workers wrote without a lock.
  @Test func whatTasksWroteIsThereWhenRunReturns() {
    let pool = WorkerPool(threads: 3)
    let memory = AlignedMemory(size: 64 * 64)
    for round in 1...2000 {
      pool.run(64) { task, _ in memory.floats()[task] += Float(task) }
      let sum = (0..<64).reduce(Float(0)) { $0 + memory.floats()[$1] }
      #expect(sum == Float(round * 2016))
      if sum != Float(round * 2016) { break }
    }
  }

  /// Workers that have gone to sleep between runs wake for the next.
  @Test func sleepingWorkersTakePart() async throws {
    let pool = WorkerPool(threads: 2)
    for _ in 0..<3 {
      try await Task.sleep(for: .milliseconds(30))
      let tally = Tally(100)
      pool.run(100) { task, worker in tally.take(task, worker: worker, of: 2) }
      #expect(tally.allEqual(1))
    }
  }

  /// Two tasks that each wait for the other finish only if two threads take them.
  @Test func tasksRunAtTheSameTime() {
    let pool = WorkerPool(threads: 2)
    let arrived = Atomic<Int>(0)
    let met = Atomic<Int>(0)
    pool.run(2) { _, _ in
      arrived.wrappingAdd(1, ordering: .sequentiallyConsistent)
      // Gives up after some seconds, so that a pool that is wrong fails and doesn't hang.
      for _ in 0..<2_000_000 {
        if arrived.load(ordering: .sequentiallyConsistent) == 2 {
          met.wrappingAdd(1, ordering: .relaxed)
          return
        }
        sched_yield()
      }
    }
    #expect(met.load(ordering: .relaxed) == 2)
  }

  @Test func poolsComeAndGo() {
    for threads in 1...4 {
      for _ in 0..<20 {
        let pool = WorkerPool(threads: threads)
        let tally = Tally(3)
        pool.run(3) { task, worker in tally.take(task, worker: worker, of: threads) }
        #expect(tally.allEqual(1))
      }
    }
  }

  @Test func memoryIsAlignedAndZero() {
    for size in [0, 1, 64, 100, 1 << 16, 5 << 20] {
      let memory = AlignedMemory(size: size)
      #expect(memory.size >= size)
      #expect(Int(bitPattern: memory.address) % 64 == 0)
      let bytes = UnsafeRawBufferPointer(start: memory.address, count: memory.size)
      #expect(bytes.allSatisfy { $0 == 0 })
    }
  }
}

#if canImport(Glibc)
  import func Glibc.sched_yield
#else
  import func Musl.sched_yield
#endif
