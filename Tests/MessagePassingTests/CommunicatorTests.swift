import Testing

@testable import MessagePassing

/// What holds in a process of its own, without mpirun. The same and more on several ranks:
/// `Tests/MPIChecks`, started by IntegrationTests. One communicator is not for several threads, so
/// the tests run one after another.
@Suite(.serialized) struct CommunicatorTests {
  @Test func aProcessWithoutLauncherIsOneRank() throws {
    let world = try Communicator.world()
    #expect(world.rank == 0 && world.size == 1 && world.isRoot)
    #expect(world.nodeRank == 0 && world.nodeSize == 1)
    #expect(!world.hostName.isEmpty)
    #expect(try Communicator.world() === world)
  }

  @Test func threadsMayCallMPI() throws {
    #expect(try MessagePassing.start() == .multiple)
    #expect(MessagePassing.ThreadSupport.multiple > .serialized)
    #expect(MessagePassing.libraryVersion.contains("MPI"))
  }

  @Test func collectivesOfOneRankReturnTheirInput() throws {
    let world = try Communicator.world()
    var values: [Double] = [1.5, -2]
    try world.allReduce(&values)
    #expect(values == [1.5, -2])
    try world.reduce(&values, .max, to: 0)
    #expect(values == [1.5, -2])
    #expect(try world.broadcast("text") == "text")
    #expect(try world.broadcast([1, 2, 3] as [UInt8]) == [1, 2, 3])
    #expect(try world.gather([4, 5] as [Int32])! == [[4, 5]])
    #expect(try world.allGather([6, 7] as [Int64]) == [6, 7])
    #expect(try world.allGatherUnequal([Float]()) == [[]])
    try world.barrier()
  }

  @Test func requestsComplete() throws {
    let world = try Communicator.world()
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 3)
    defer { buffer.deallocate() }
    buffer.initialize(repeating: 2)
    try world.startAllReduce(buffer).wait()
    #expect(Array(buffer) == [2, 2, 2])
    var barrier = try world.startBarrier()
    while try !barrier.test() {}
    try barrier.wait()
  }

  @Test func errorsNameOperationRankAndCause() throws {
    let world = try Communicator.world()
    let error = #expect(throws: MPIError.self) { try world.broadcast(1.0 as Float, from: 7) }
    #expect(error?.operation == "MPI_Bcast")
    #expect(error?.rank == 0)
    #expect("\(error!)".hasPrefix("MPI_Bcast failed on rank 0: MPI_ERR_ROOT"))
  }

  @Test func groupsOfOneRank() throws {
    let world = try Communicator.world()
    #expect(try world.duplicate().size == 1)
    #expect(try world.split(color: nil, key: 0) == nil)
    #expect(try world.split(color: 3, key: 0)?.rank == 0)
    #expect(try world.node().size == 1)
  }

  @Test func bfloat16RoundsToTheNearestEven() {
    // One unit in the last place is 2^-7 here: halves go to the even neighbour.
    #expect(BFloat16(1).bits == 0x3f80)
    #expect(BFloat16(1 + 0x1p-8).float == 1)
    #expect(BFloat16(1 + 3 * 0x1p-8).float == 1 + 0x1p-6)
    #expect(BFloat16((1 + 0x1p-8 as Float).nextUp).float == 1 + 0x1p-7)
    #expect(BFloat16(-2.5).float == -2.5)
    #expect(BFloat16(.greatestFiniteMagnitude).float == .infinity)
    #expect(BFloat16(.nan).float.isNaN)
    #expect(BFloat16(-.infinity).float == -.infinity)
  }

  @Test func bfloat16IsNotCompared() throws {
    let world = try Communicator.world()
    var values = [BFloat16(1)]
    let error = #expect(throws: MPIError.self) { try world.allReduce(&values, .max) }
    #expect(error?.text.contains("MPI_ERR_OP") == true)
  }
}
