extension Watchdog {
  /// Does this rank's part of a job, watched from the first call of MPI to the last: whatever rank
  /// stalls, at whatever moment, the job ends.
  ///
  /// Nothing but the end of the process should follow.
  ///
  /// - Parameters:
  ///   - limit: seconds; 0: nobody watches.
  ///   - setting: the name of the limit, for the message.
  ///   - exitStatus: of the job that is ended.
  ///   - agree: compares what ranks must have in common, before anything else is exchanged: ranks that
  ///     have another limit, or do something else, must find out here. Collective.
  ///   - work: given ``Communicator/world(needing:)``.
  /// - Throws: `MPIError`, ``NotJoinedError``; what `agree` and `work` throw, which must end the job: the watchdog stays.
  public static func watching<Outcome>(
    limit: Double, setting: String, exitStatus: Int32,
    agree: (Communicator) throws -> Void = { _ in }, _ work: (Communicator) throws -> Outcome
  ) throws -> Outcome {
    let beginning = CallTimeout(
      "MPI_Init_thread", limit: limit, setting: setting, exitStatus: exitStatus)
    let communicator = try Communicator.world()
    try MessagePassing.checkJoined()
    try agree(communicator)
    let watchdog = try Watchdog(
      communicator, limit: limit, setting: setting, exitStatus: exitStatus)
    beginning?.lift()
    let outcome = try work(communicator)
    // The last time that the watchdog is there to see who does not come.
    RankStatus.enter(.ending)
    try communicator.patientBarrier()
    watchdog?.stop()
    _ = CallTimeout("MPI_Finalize", limit: limit, setting: setting, exitStatus: exitStatus)
    return outcome
  }
}
