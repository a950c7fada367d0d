import Glibc
import MessagePassing

/// Runs every collective over the ranks it was started with and compares what arrives with what
/// each rank can work out for itself. Prints `ok, N checks` on rank 0, or ends the job with an
/// error. Arguments make it misbehave on purpose, for the tests of what happens then:
///
///     mpi-checks                     all checks
///     mpi-checks fail RANK STATUS    RANK throws, the others wait in a barrier
///     mpi-checks fail-everywhere     every rank throws the same error
///     mpi-checks exit RANK STATUS    RANK calls exit, the others wait in a barrier
///     mpi-checks leave STATUS        every rank calls exit with STATUS
///     mpi-checks hang                rank 0 never comes to the barrier the others wait in
///     mpi-checks watch RANK          likewise RANK, under a watchdog of one second
///     mpi-checks watch-work RANK     RANK comes late, but works all the time
///     mpi-checks watch-later RANK    RANK never comes to a collective of the tenth communicator
///     mpi-checks watch-silent RANK   RANK is stopped, the others wait, but in no collective
///     mpi-checks watch-begin RANK    RANK is stopped before it has called MPI, which is watched too
///     mpi-checks watch-end RANK      likewise after its work
@main
struct MPIChecks {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    func status(of error: any Error) -> Int32 { (error as? Failure)?.status ?? 70 }
    MessagePassing.runRank(name: "mpi-checks", exitStatus: status) {
      if let moment = arguments.first.flatMap(Moment.init) {
        return try stop(Int(arguments.dropFirst().first ?? ""), moment)
      }
      let world = try Communicator.world()
      let numbers = arguments.dropFirst().compactMap { Int($0) }
      switch arguments.first {
      case nil: try Checks(world: world).all()
      case "fail":
        if world.rank == numbers[0] {
          throw Failure(text: "told\nto fail", status: Int32(numbers[1]))
        }
        try world.barrier()
      case "fail-everywhere": throw Failure(text: "shared/file.h5: no such file", status: 74)
      case "exit":
        if world.rank == numbers[0] { exit(Int32(numbers[1])) }
        try world.barrier()
      case "leave":
        try world.barrier()
        exit(Int32(numbers[0]))
      case "hang":
        if world.isRoot { while true { pause() } }
        try world.barrier()
      case "watch":
        _ = try Watchdog(world, limit: 1, setting: "the limit", exitStatus: 74)
        if world.rank == numbers[0] { while true { pause() } }
        try world.barrier()
      case "watch-later":
        _ = try Watchdog(world, limit: 1, setting: "the limit", exitStatus: 74)
        let others = try (0..<10).map { _ in try world.duplicate() }
        for other in others.dropLast() { try other.barrier() }
        if world.rank == numbers[0] { while true { pause() } }
        try others.last!.barrier()
      case "watch-silent":
        _ = try Watchdog(world, limit: 1, setting: "the limit", exitStatus: 74)
        if world.rank == numbers[0] { raise(SIGSTOP) }
        while true { pause() }
      case "watch-work":
        let watchdog = try Watchdog(world, limit: 1, setting: "the limit", exitStatus: 74)
        if world.rank == numbers[0] {
          for _ in 0..<40 {
            usleep(100_000)
            RankStatus.progress()
          }
        }
        try world.barrier()
        watchdog?.stop()
      default: throw Failure(text: "unknown argument", status: 64)
      }
    }
  }

  /// When a rank is stopped.
  enum Moment: String {
    case begin = "watch-begin"
    case end = "watch-end"
  }

  /// Does nothing on all ranks, watched, but that one is stopped.
  static func stop(_ rank: Int?, _ moment: Moment) throws {
    let isVictim = MessagePassing.launcherRank == rank
    if isVictim && moment == .begin { raise(SIGSTOP) }
    try Watchdog.watching(limit: 1, setting: "the limit", exitStatus: 74) { try $0.barrier() }
    if isVictim && moment == .end { raise(SIGSTOP) }
  }
}

struct Failure: Error, CustomStringConvertible {
  var text: String
  var status: Int32 = 70
  var description: String { text }
}

/// The checks, each named by what it claims.
struct Checks {
  let world: Communicator
  /// The same group, but with buffers going in pieces of 7 elements.
  let inPieces: Communicator
  let count = Counter()

  final class Counter { var value = 0 }

  init(world: Communicator) {
    self.world = world
    inPieces = world.limitingPieces(to: 7)
  }

  func all() throws {
    try places()
    for group in [world, inPieces] {
      try reductions(Float.self, group)
      try reductions(Double.self, group)
      try reductions(Int32.self, group)
      try reductions(Int64.self, group)
      try reductions(Int.self, group)
      try reductions(UInt64.self, group)
      try reductions(UInt8.self, group)
      try bfloat16Sums(group)
      try broadcasts(group)
      try gathers(group)
    }
    try longReductionsAreTheSameOnEveryRank()
    try requestsOverlap()
    try barriersSeparate()
    try groupsAreApart()
    try errorsCarryTheTextOfMPI()
    try gradientReductions()
    try hostMemories()
    try hostGroups()
    try sharedBytes()
    try world.barrier()
    if world.isRoot { print("ok, \(count.value) checks on \(world.size) ranks") }
  }

  func expect(_ condition: Bool, _ claim: @autoclosure () -> String) throws {
    count.value += 1
    if !condition { throw Failure(text: "not so: \(claim())") }
  }

  func places() throws {
    try expect((0..<world.size).contains(world.rank), "the rank is in the group")
    if MessagePassing.isLaunched {
      try expect(world.rank == MessagePassing.launcherRank, "MPI and the launcher agree on ranks")
      try expect(world.size == MessagePassing.launcherSize, "MPI and the launcher agree on size")
      try expect(
        world.nodeSize == MessagePassing.launcherNodeSize, "they agree on this host's ranks")
    } else {
      try expect(world.size == 1, "a process of its own is a job of one rank")
    }
    try expect((0..<world.nodeSize).contains(world.nodeRank), "the node rank is in the node")
    try expect(!world.hostName.isEmpty, "the host has a name")
    try expect(try MessagePassing.start() == .multiple, "threads may call MPI at any time")
  }

  func reductions<T: MPIScalar & Comparable & Numeric>(
    _: T.Type, _ group: Communicator
  ) throws {
    let (rank, size) = (group.rank, group.size)
    // Small integers: exact in every type, also as sums.
    func element(_ rank: Int, _ index: Int) -> T { T(exactly: (rank * 5 + index * 3) % 13)! }
    for length in [0, 1, 6, 7, 8, 100] {
      let own = (0..<length).map { element(rank, $0) }
      let columns = (0..<length).map { index in (0..<size).map { element($0, index) } }
      let cases: [(ReduceOperation, [T])] = [
        (.sum, columns.map { $0.reduce(0, +) }),
        (.min, columns.map { $0.min()! }),
        (.max, columns.map { $0.max()! }),
      ]
      for (operation, expected) in cases {
        var values = own
        try group.allReduce(&values, operation)
        try expect(values == expected, "allReduce \(operation) of \(length) \(T.self)")

        for root in 0..<size {
          values = own
          try group.reduce(&values, operation, to: root)
          try expect(
            values == (rank == root ? expected : own),
            "reduce \(operation) of \(length) \(T.self) to \(root)")
        }

        let buffer = UnsafeMutableBufferPointer<T>.allocate(capacity: length)
        defer { buffer.deallocate() }
        _ = buffer.initialize(from: own)
        try group.startAllReduce(buffer, operation).wait()
        try expect(Array(buffer) == expected, "startAllReduce \(operation) of \(length) \(T.self)")
      }
    }
    try expect(
      try group.allReduce(T(exactly: rank)!, .max) == T(exactly: size - 1)!, "max of ranks")
  }

  /// Of small integers exactly; of others to half a unit in the last of eight bits an addition.
  func bfloat16Sums(_ group: Communicator) throws {
    var values = (0..<40).map { BFloat16(Float(group.rank + $0)) }
    try group.allReduce(&values)
    let ranks = group.size * (group.size - 1) / 2
    try expect(
      values.map(\.float) == (0..<40).map { Float(ranks + group.size * $0) }, "sums of bfloat16")

    var fractions = (1..<60).map { BFloat16(1 / Float($0)) }
    let exact = fractions.map { Double($0.float) * Double(group.size) }
    try fractions.withUnsafeMutableBufferPointer { buffer in
      try group.startAllReduce(buffer).wait()
    }
    for (sum, exact) in zip(fractions, exact) {
      try expect(
        abs(Double(sum.float) - exact) <= exact * Double(group.size) / 256, "rounded bfloat16 sums")
    }
    let digests = try group.allGather(fractions)
    try expect(
      (0..<group.size).allSatisfy { Array(digests[$0 * 59..<$0 * 59 + 59]) == fractions },
      "the same bfloat16 sums everywhere")
  }

  func broadcasts(_ group: Communicator) throws {
    for root in 0..<group.size {
      let mine = group.rank == root
      for length in [0, 1, 7, 50] {
        let expected = (0..<length).map { Double($0 + root) }
        let values = try group.broadcast(mine ? expected : [], from: root)
        try expect(values == expected, "broadcast of \(length) from \(root)")
      }
      let text = "Gesichtsfälschung \(root) 😀"
      try expect(try group.broadcast(mine ? text : "", from: root) == text, "broadcast of text")
      try expect(try group.broadcast(mine ? "" : "x", from: root) == "", "broadcast of no text")
      try expect(try group.broadcast(group.rank * 3, from: root) == root * 3, "broadcast of one")
    }
  }

  func gathers(_ group: Communicator) throws {
    // Rank r has r * 3 + 1 elements, but rank 1 has none.
    func part(_ rank: Int) -> [Int32] {
      (0..<(rank == 1 ? 0 : rank * 3 + 1)).map { Int32(rank * 100 + $0) }
    }
    let expected = (0..<group.size).map(part)
    for root in 0..<group.size {
      let parts = try group.gather(part(group.rank), to: root)
      try expect(parts == (group.rank == root ? expected : nil), "gather of unequal parts")
    }
    try expect(try group.allGatherUnequal(part(group.rank)) == expected, "allGatherUnequal")
    let empty = try group.allGatherUnequal([Float]())
    try expect(empty == .init(repeating: [], count: group.size), "gathering nothing")
    for length in [0, 1, 5, 20] {
      let own = (0..<length).map { UInt64(group.rank * 1000 + $0) }
      let all = (0..<group.size).flatMap { rank in (0..<length).map { UInt64(rank * 1000 + $0) } }
      try expect(try group.allGather(own) == all, "allGather of \(length)")
    }
    let names = (0..<group.size).map { String(repeating: "ü", count: $0) }
    try expect(try group.allGather(names[group.rank]) == names, "allGather of text")
    let gathered = try group.gather(names[group.rank])
    try expect(gathered == (group.isRoot ? names : nil), "gather of text")
    try expect(try group.all(true), "all of true")
    try expect(try group.all(group.rank != group.size - 1) == false, "all but one")
    try expect(try group.any(group.rank == group.size - 1), "any of one")
    try expect(try group.any(false) == false, "any of none")
  }

  /// Training relies on it: replicas must not drift apart by the reduction itself.
  func longReductionsAreTheSameOnEveryRank() throws {
    var values = (0..<300_007).map { index in
      Float((index &* 2_654_435_761 &+ world.rank &* 97) % 1_000_003) / 1_000_003 - 0.5
    }
    let own = values
    try world.allReduce(&values)
    func digest(_ values: [Float]) -> UInt64 {
      values.reduce(14_695_981_039_346_656_037) {
        ($0 ^ UInt64($1.bitPattern)) &* 1_099_511_628_211
      }
    }
    let digests = try world.allGather([digest(values)])
    try expect(Set(digests).count == 1, "all ranks have the same bits after allReduce")

    values = own
    let first = digest(values)
    try world.allReduce(&values)
    let again = try world.allGather([digest(values)])
    try expect(again == digests, "the same reduction has the same bits again")
    try expect(world.size > 1 || again == [first], "one rank's reduction changes nothing")
  }

  func requestsOverlap() throws {
    let length = 10_000
    let buffers = (0..<4).map { _ in UnsafeMutableBufferPointer<Float>.allocate(capacity: length) }
    defer { for buffer in buffers { buffer.deallocate() } }
    for (index, buffer) in buffers.enumerated() {
      buffer.initialize(repeating: Float((world.rank + 1) * (index + 1)))
    }
    let ranks = Float(world.size * (world.size + 1) / 2)
    func holds(_ index: Int) -> Bool {
      buffers[index].allSatisfy { $0 == ranks * Float(index + 1) }
    }

    var a = try world.startAllReduce(buffers[0])
    let b = try world.startAllReduce(buffers[1])
    let c = try world.startAllReduce(buffers[2])
    while try !a.test() {}
    try expect(try a.test(), "a request that is done stays done")
    try a.wait()
    try expect(holds(0), "tested request")
    try c.wait(sleeping: 50)
    try expect(holds(2), "request waited for out of order")
    try b.wait()
    try expect(holds(1), "request waited for last")
    do { _ = try world.startAllReduce(buffers[3]) }
    try expect(holds(3), "a dropped request is finished")
  }

  func barriersSeparate() throws {
    try world.barrier()
    // Nobody's request may be done before the last rank has come.
    var request = try (world.rank == 0 ? nil : Optional(world.startBarrier()))
    if world.rank == 0 {
      usleep(50_000)
      request = try world.startBarrier()
      try request.take()!.wait()
    } else {
      let early = try request!.test()
      try request.take()!.wait()
      try expect(!early, "a barrier waits for rank 0")
    }
  }

  func groupsAreApart() throws {
    let other = try world.duplicate()
    // The same operations in different orders on two groups do not meet.
    let x = UnsafeMutableBufferPointer<Int64>.allocate(capacity: 2)
    defer { x.deallocate() }
    x[0] = 1
    x[1] = 10
    let one = UnsafeMutableBufferPointer(rebasing: x[0..<1])
    let ten = UnsafeMutableBufferPointer(rebasing: x[1..<2])
    let isEven = world.rank.isMultiple(of: 2)
    let first = try isEven ? world.startAllReduce(one) : other.startAllReduce(ten)
    let second = try isEven ? other.startAllReduce(ten) : world.startAllReduce(one)
    try second.wait()
    try first.wait()
    try expect(x[0] == Int64(world.size) && x[1] == Int64(10 * world.size), "duplicates are apart")

    let half = try world.split(color: world.rank % 2, key: -world.rank)!
    let members = (0..<world.size).filter { $0 % 2 == world.rank % 2 }
    try expect(half.size == members.count, "the part has the ranks of one colour")
    try expect(
      half.rank == members.reversed().firstIndex(of: world.rank), "the key orders the part")
    try expect(
      try half.allReduce(world.rank) == members.reduce(0, +), "the part reduces among itself")

    let chosen = try world.split(color: world.rank == 0 ? 0 : nil, key: 0)
    try expect((chosen != nil) == (world.rank == 0), "without a colour there is no part")

    let node = try world.node()
    try expect(node.size == world.nodeSize && node.rank == world.nodeRank, "the node is the node")
  }

  func errorsCarryTheTextOfMPI() throws {
    var values: [Float] = [1]
    do {
      try world.reduce(&values, .sum, to: world.size + 3)
    } catch {
      try expect(error.operation == "MPI_Reduce" && error.rank == world.rank, "\(error)")
      try expect(error.text.contains("MPI_ERR_ROOT"), "the error has MPI's text: \(error)")
      return
    }
    throw Failure(text: "a root that does not exist was accepted")
  }
}
