import CKernels
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// This rank's worker threads. `run` gives out numbered tasks; the caller works too.
///
/// Tasks are taken in order from a shared counter, so a slow core takes fewer. Between runs a worker
/// spins for some tens of microseconds, the gap between two layers, and then sleeps. `run` allocates
/// nothing. In tasks denormals count as zero. Results do not depend on the thread count as long as
/// a task's result depends only on its number: partial sums belong to tasks, not to workers.
public final class WorkerPool: @unchecked Sendable {
  /// Threads, the caller included.
  public let count: Int

  private let state: State
  private var threads: [pthread_t] = []

  /// What workers share; separate from the pool so that a sleeping worker does not keep it alive.
  private final class State: @unchecked Sendable {
    let generation = Atomic<UInt64>(0)
    let nextTask = Atomic<Int>(0)
    let working = Atomic<Int>(0)
    let sleepers = Atomic<Int>(0)
    let stopping = Atomic<Bool>(false)
    // Written by the caller before `generation`, read by workers after it.
    nonisolated(unsafe) var tasks = 0
    nonisolated(unsafe) var body: (Int, Int) -> Void = { _, _ in }
    nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>
    nonisolated(unsafe) let awake: UnsafeMutablePointer<pthread_cond_t>
    let prepareThread: @Sendable () -> Void

    init(prepareThread: @escaping @Sendable () -> Void) {
      self.prepareThread = prepareThread
      mutex = .allocate(capacity: 1)
      awake = .allocate(capacity: 1)
      pthread_mutex_init(mutex, nil)
      pthread_cond_init(awake, nil)
    }

    deinit {
      pthread_cond_destroy(awake)
      pthread_mutex_destroy(mutex)
      awake.deallocate()
      mutex.deallocate()
    }

    @inline(__always)
    func work(as worker: Int) {
      while true {
        let task = nextTask.wrappingAdd(1, ordering: .relaxed).oldValue
        if task >= tasks { return }
        body(task, worker)
      }
    }

    func loop(as worker: Int) {
      prepareThread()
      _ = rfm_flush_denormals()
      var seen: UInt64 = 0
      while true {
        seen = waitForWork(after: seen)
        if stopping.load(ordering: .acquiring) { return }
        work(as: worker)
        working.wrappingSubtract(1, ordering: .releasing)
      }
    }

    private func waitForWork(after seen: UInt64) -> UInt64 {
      for _ in 0..<4000 {
        let now = generation.load(ordering: .acquiring)
        if now != seen { return now }
        rfm_pause()
      }
      pthread_mutex_lock(mutex)
      sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
      var now = generation.load(ordering: .sequentiallyConsistent)
      while now == seen {
        pthread_cond_wait(awake, mutex)
        now = generation.load(ordering: .sequentiallyConsistent)
      }
      sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
      pthread_mutex_unlock(mutex)
      return now
    }

    func announce() {
      generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(awake)
        pthread_mutex_unlock(mutex)
      }
    }
  }

  /// Starts `threads - 1` workers beside the caller.
  public init(threads count: Int) {
    precondition(count >= 1, "a worker pool needs at least one thread, not \(count)")
    self.count = count
    let prepare: @Sendable () -> Void = { MatrixMultiply.prepareThread() }
    state = State(prepareThread: prepare)
    prepare()
    for worker in 1..<max(count, 1) {
      let start = ThreadStart(state: state, worker: worker)
      var thread = pthread_t()
      let status = pthread_create(
        &thread, nil,
        { argument in
          let start = Unmanaged<ThreadStart>.fromOpaque(argument!).takeRetainedValue()
          start.state.loop(as: start.worker)
          return nil
        }, Unmanaged.passRetained(start).toOpaque())
      guard status == 0 else {
        fatalError("cannot start worker thread \(worker) of \(count): error \(status)")
      }
      threads.append(thread)
    }
  }

  private final class ThreadStart {
    let state: State
    let worker: Int
    init(state: State, worker: Int) {
      self.state = state
      self.worker = worker
    }
  }

  deinit {
    state.stopping.store(true, ordering: .releasing)
    state.announce()
    for thread in threads { pthread_join(thread, nil) }
  }

  /// Runs `body(task, worker)` for every task in 0..<tasks and returns when all are done.
  ///
  /// One run at a time, from the thread that owns the pool.
  public func run(_ tasks: Int, _ body: @escaping (_ task: Int, _ worker: Int) -> Void) {
    if tasks <= 0 { return }
    // The caller's own arithmetic keeps its denormals.
    let denormals = rfm_flush_denormals()
    defer { rfm_restore_denormals(denormals) }
    if count == 1 || tasks == 1 {
      for task in 0..<tasks { body(task, 0) }
      return
    }
    state.tasks = tasks
    state.body = body
    state.nextTask.store(0, ordering: .relaxed)
    state.working.store(count - 1, ordering: .relaxed)
    state.announce()
    state.work(as: 0)
    var spins = 0
    while state.working.load(ordering: .acquiring) != 0 {
      spins += 1
      if spins < 20000 { rfm_pause() } else { sched_yield() }
    }
  }
}
