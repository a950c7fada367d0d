import Checkpoints
import Configuration
import Evaluation
import Foundations
import Images
import Networks

/// What a training keeps, and how it goes on from that.
extension Trainer {
  /// Begins to write a checkpoint of the present step, and tells the observers of it unless there is
  /// work pending.
  ///
  /// - Parameter validation: what was found, and its calibration, on the validation images at this step, on rank 0.
  func save(
    _ prototypes: PrototypesFile?, _ validation: Validation?, _ progress: ProgressLine?
  ) throws {
    savedStep = steps
    guard let writer else { return }
    var figures: [JSON.Member] = []
    let auc = validation?.metrics.overall.auc
    if validation != nil { figures = [.init("validation_auc", .optional(auc))] }
    let isBest = best.takes(step: steps, auc: auc, isValidated: data.validation != nil)
    let epoch = data.epoch(at: position)
    let (steps, metrics) = (steps, metrics)
    let state = CheckpointState(
      step: steps, epoch: epoch, position: position - epoch * data.epochLength,
      seed: configuration.run.seed, configurationDigest: configuration.digest,
      ranks: communicator.size,
      detector: .init(
        configuration, preprocessing: data.training.preprocessing?.text,
        calibration: validation?.calibration),
      metrics: figures,
      details: [
        .init("best_validation_auc", .optional(best.auc)),
        .init("best_step", best.step.map { .integer($0) } ?? .null),
        .init("training_shards", .text(data.shards.description)),
        .init(TrainingData.orderName, .integer(RunVersions.sampleOrder)),
        .init("skipped_steps", .integer(skipped.inAll)),
        .init("skipped_in_a_row", .integer(skipped.inARow)),
        .init(CheckpointState.workPendingName, .boolean(hasWorkPending)),
      ] + SettledMultiplies.Record.details(configuration.training)
        + (patience.patience > 0 ? patience.details : []))
    try writer.start(
      state, isBest: isBest, prototypes: prototypes,
      synchronise: { try metrics?.synchronise() },
      written: { progress?.message("step \(steps): saved \($0)") })
    if !hasWorkPending { try inform(prototypes) }
  }

  /// Tells the observers what is saved.
  private func inform(_ prototypes: PrototypesFile?) throws {
    guard !observers.isEmpty else { return }
    let snapshot = TrainingSnapshot(
      step: steps, prototypes: prototypes?.prototypes, epochPrototypes: prototypes?.epoch
    ) { [self] in
      guard let set = data.validation else { return [] }
      return try TrainingExample.examples(
        validationPass, set, among: data.validationSamples, erasing: step.erasing,
        capacity: configuration.training.batchPerRank,
        normalisation: PixelNormalisation(configuration.data))
    }
    for observer in observers { try observer.saved(snapshot) }
  }

  /// The newest whole checkpoint of a run, which these settings and data continue; nil: there is none.
  static func checkpoint(
    toContinue folder: RunFolder, _ configuration: Configuration, _ data: TrainingData,
    forced: [String], say: @escaping (String) -> Void
  ) throws -> Checkpoint? {
    guard let checkpoint = try folder.checkpoints.resume(report: say) else { return nil }
    try data.requireOrder(of: checkpoint)
    try SettingsComparison.check(
      configuration, data.shards, continuing: checkpoint, in: folder, forced: forced, say: say)
    return checkpoint
  }

  /// Rank 0's weights and running statistics become everybody's.
  func broadcastDetector() throws {
    try communicator.broadcast(detector.values)
    try communicator.broadcast(detector.runningStatistics)
  }

  /// Rank 0 reads the checkpoint, all get its contents. Collective.
  func restore(_ checkpoint: Checkpoint?) throws {
    try communicator.agreed { if let checkpoint { try read(checkpoint) } }
    let counts = try communicator.broadcast([
      position, skipped.inAll, skipped.inARow, hasWorkPending ? 1 : 0, patience.isOver ? 1 : 0,
    ])
    (position, skipped, hasWorkPending) = (counts[0], (counts[1], counts[2]), counts[3] == 1)
    isOver = counts[4] == 1
    try broadcastDetector()
    if let average = step.average {
      // A run that had none so far begins with its weights.
      let begins = checkpoint.map { $0.averagePath == nil } ?? false
      if try communicator.any(begins) {
        average.begin()
      } else {
        try communicator.broadcast(average.values)
        try communicator.broadcast(average.runningStatistics)
      }
    }
    for slot in step.optimizer.slots { try communicator.broadcast(slot.values) }
    step.optimizer.resume(steps: steps - skipped.inAll)
  }

  private func read(_ checkpoint: Checkpoint) throws {
    if let average = step.average, let path = checkpoint.averagePath {
      _ = try detector.load(Safetensors.read(path), from: path, seed: 0)
      average.begin()
    }
    _ = try detector.load(checkpoint.model(), from: checkpoint.modelPath, seed: 0)
    let tensors = try checkpoint.optimizer()
    for slot in step.optimizer.slots {
      let prefix = slot.name + "."
      let mine = tensors.filter { $0.name.hasPrefix(prefix) }.map {
        NamedTensor(
          name: String($0.name.dropFirst(prefix.count)), shape: $0.shape, values: $0.values)
      }
      try detector.store(
        mine, into: slot.values.baseAddress!, from: checkpoint.optimizerPath)
    }
    if let path = checkpoint.prototypesPath,
      let epoch = try PrototypesFile(reading: path).epoch
    {
      gatherer?.resume(epoch)
    }
    let state = checkpoint.state
    let (earlier, isTooLarge) = state.epoch.multipliedReportingOverflow(by: data.epochLength)
    let details = JSON.object(state.details)
    best.auc = details["best_validation_auc"]?.doubleValue
    skipped.inAll = details["skipped_steps"]?.integerValue ?? 0
    skipped.inARow = details["skipped_in_a_row"]?.integerValue ?? 0
    best.step = details["best_step"]?.integerValue
    patience.resume(details)
    hasWorkPending = state.hasWorkPending
    if let step = best.step { try checkpoints?.pointBest(to: step) }
    guard !isTooLarge, max(earlier, state.position) < 1 << 60, (0...steps).contains(skipped.inAll)
    else {
      throw CheckpointError(
        path: "\(checkpoint.path)/\(Checkpoint.stateName)",
        problem: "tells of an epoch, a position or skipped steps that can't be")
    }
    position = earlier + state.position
    if state.ranks != communicator.size {
      say(
        "changed since step \(steps): ranks: \(state.ranks) before, \(communicator.size) now; a step "
          + "takes \(data.globalBatch) images. The order of samples goes on, but the run is not the "
          + "same to the last bit")
    }
  }
}
