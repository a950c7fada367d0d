import Checkpoints
import Evaluation
import ForgeryMining

/// The prototypes that a training saves with its checkpoints.
extension Trainer {
  /// The exact prototypes, over validation images, and the epoch's; nil where there is neither.
  /// Collective.
  ///
  /// - Parameter exact: compute the exact ones; otherwise the epoch's alone, which a resumed training
  ///   goes on from.
  /// - Throws: `StopRequest.Interruption` on all ranks if one was asked to stop.
  func prototypesFile(exact: Bool = true) throws -> PrototypesFile? {
    let epoch = try epochPrototypes()
    var file: PrototypesFile?
    if exact, let set = data.validation,
      data.validationSamples.contains(where: { set.labels[$0] == 1 }),
      configuration.prototypes.imagesPerMethod > 0
    {
      do {
        let survey = try PrototypeSurvey(
          validationPass, set, samples: data.validationSamples,
          imagesPerMethod: configuration.prototypes.imagesPerMethod, communicator: communicator,
          afterBatch: { try StopRequest.check(communicator) })
        file = PrototypesFile(
          survey.prototypes,
          origin: .init(
            model: configuration.model.form.description, step: steps,
            weights: step.detector.contents.text, patterns: configuration.data.validation,
            imagesPerMethod: configuration.prototypes.imagesPerMethod),
          calibration: survey.calibration, meanFaces: survey.meanFaces)
      } catch let error as NonFiniteMap {
        // On every rank: the sums are those of all.
        say("warning: step \(steps): no prototypes are saved: \(error)")
      }
    }
    if file == nil, epoch != nil {
      let crop = configuration.data.crop
      file = PrototypesFile(
        Prototypes(methods: [], height: crop, width: crop, maps: [], counts: []),
        origin: .init(model: configuration.model.form.description, step: steps))
    }
    file?.epoch = epoch
    return file
  }

  /// What all ranks gathered in the epoch under way; nil if that is nothing. Collective.
  private func epochPrototypes() throws -> EpochPrototypes? {
    guard var sums = gatherer?.gathered else { return nil }
    try communicator.allReduce(&sums.sums, .sum)
    try communicator.allReduce(&sums.coverage, .sum)
    try communicator.allReduce(&sums.counts, .sum)
    let seen = sums.seen
    return seen.methods.isEmpty ? nil : seen
  }
}
