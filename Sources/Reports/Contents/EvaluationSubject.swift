import Checkpoints
import Configuration
import ForgeryMining
import Foundations
import Images
import MessagePassing
import Networks

/// What is evaluated for a report, the same on every rank: rank 0 reads it from the run folder, which
/// the others need not see.
struct EvaluationSubject {
  let loaded: LoadedDetector
  /// Patterns of the shards.
  let data: [String]
  /// Images of each method for prototypes, where the checkpoint has none.
  let imagesPerMethod: Int

  /// Collective. Nil on every rank if there is nothing to evaluate.
  ///
  /// - Parameters:
  ///   - reading: rank 0's.
  ///   - data: patterns that were asked for; none: the run's.
  init?(_ reading: RunReading?, data: [String], communicator: Communicator) throws {
    var announcement = JSON.null
    if let reading, let loaded = reading.loaded {
      let patterns = data.isEmpty ? reading.validation : data
      if !patterns.isEmpty {
        let configuration = reading.contents.configuration ?? Configuration()
        announcement = [
          "detector": .text(loaded.detector.name.rawValue),
          "truncate": loaded.detector.form.truncate.map { .text($0) } ?? .null,
          "head": .text(loaded.detector.form.head.rawValue), "crop": .integer(loaded.crop),
          "mean": loaded.mean.json, "std": loaded.std.json,
          "data": .array(patterns.map { .text($0) }),
          "images_per_method": .integer(configuration.prototypes.imagesPerMethod),
        ]
      }
    }
    let line = try communicator.broadcast(announcement.line())
    let told = try JSON(parsing: Array(line.utf8))
    guard let name = told["detector"]?.textValue.flatMap(DetectorName.init(rawValue:)),
      let crop = told["crop"]?.integerValue, let mean = told["mean"].flatMap(ChannelValues.init),
      let std = told["std"].flatMap(ChannelValues.init), let patterns = told["data"]?.arrayValue,
      let imagesPerMethod = told["images_per_method"]?.integerValue
    else { return nil }
    let form = DetectorForm(
      name, truncate: told["truncate"]?.textValue,
      head: told["head"]?.textValue.flatMap(HeadKind.init) ?? .linear)
    loaded =
      reading?.loaded
      ?? LoadedDetector(Detector(form), crop: crop, mean: mean, std: std, source: "")
    self.data = patterns.compactMap(\.textValue)
    self.imagesPerMethod = imagesPerMethod
    try communicator.broadcast(loaded.detector.values)
    try communicator.broadcast(loaded.detector.runningStatistics)
  }

  /// Rank 0's prototypes on every rank, without their mean faces on the others. Collective.
  func prototypes(_ communicator: Communicator, _ file: PrototypesFile?) throws -> PrototypesFile? {
    let names = try communicator.broadcast(
      JSON.array(file?.prototypes.methods.map { .text($0) } ?? []).line())
    let maps = try communicator.broadcast(file?.prototypes.maps ?? [])
    let counts = try communicator.broadcast(file?.prototypes.counts ?? [])
    guard !maps.isEmpty else { return nil }
    if let file { return file }
    let methods = try JSON(parsing: Array(names.utf8)).arrayValue?.compactMap(\.textValue) ?? []
    return PrototypesFile(
      Prototypes(
        methods: methods, height: loaded.crop, width: loaded.crop, maps: maps, counts: counts))
  }
}
