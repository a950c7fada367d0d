import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import Foundations
@testable import Networks

@Suite struct CheckpointTests {
  private let folder = TemporaryFolder()
  private var store: CheckpointStore { CheckpointStore(path: folder.path) }

  private func state(step: Int, auc: Double = 0.5) -> CheckpointState {
    CheckpointState(
      step: step, epoch: 1, position: 17, seed: 5, configurationDigest: "c0ffee", ranks: 2,
      detector: .init(name: "xception-tiny", crop: 64, mean: 0.5, std: 0.25),
      metrics: [.init("auc", .number(auc)), .init("ap", .null)],
      details: [.init("note", "é\u{1b}")])
  }

  private func tensors(_ value: Float) -> [NamedTensor] {
    [
      NamedTensor(name: "b", shape: [2, 3], values: [value, 1, 2, 3, .infinity, -0.0]),
      NamedTensor(name: "a", shape: [], values: [value]),
    ]
  }

  @discardableResult
  private func write(_ step: Int, isBest: Bool = false) throws -> Checkpoint {
    try store.write(
      state(step: step), model: tensors(Float(step)), optimizer: tensors(-Float(step)),
      isBest: isBest
    ) { try Data("prototypes".utf8).write(to: URL(fileURLWithPath: $0)) }
  }

  /// Opens what is there to continue, and collects what is reported.
  private func resume() throws -> (checkpoint: Checkpoint?, reports: [String]) {
    var reports: [String] = []
    let checkpoint = try store.resume { reports.append($0) }
    return (checkpoint, reports)
  }

  private func damage(_ path: String, _ change: (inout Data) -> Void) throws {
    let url = URL(fileURLWithPath: path)
    var data = try Data(contentsOf: url)
    change(&data)
    try data.write(to: url)
  }

  @Test func whatIsWrittenComesBack() throws {
    let written = try write(30, isBest: true)
    #expect(written.path == folder("step-00000030"))
    let read = try Checkpoint(opening: folder("latest"))
    #expect(read.state == state(step: 30))
    #expect(read.files == written.files && read.files.count == 3)
    #expect(try read.model() == tensors(30).reversed())
    #expect(try read.optimizer() == tensors(-30).reversed())
    let prototypes = try #require(read.prototypesPath)
    #expect(try String(contentsOfFile: prototypes, encoding: .utf8) == "prototypes")
    #expect(try Checkpoint(opening: folder("best")).state.step == 30)
    #expect(try folder.contents() == ["best", "latest", "step-00000030"])
  }

  @Test func aCheckpointWithoutPrototypesSaysSo() throws {
    let written = try store.write(
      state(step: 1), model: tensors(1), optimizer: [], isBest: false)
    #expect(written.prototypesPath == nil)
    #expect(store.bestStep == nil && store.latestStep == 1)
    #expect(try Checkpoint(opening: written.path) == written)
  }

  // MARK: Calibration

  private let calibration = Calibration(
    temperature: 1.625, real: 3, fake: 4, lossBefore: 0.5, lossAfter: 0.25, data: ["v-*.h5"],
    points: [
      .init(threshold: 2.5, falseAlarmRate: 0, missRate: 0.75),
      .init(threshold: -1.25, falseAlarmRate: 0.5, missRate: 0),
    ])

  @Test func aCalibrationComesBackAndTheWeightsTellItsTemperature() throws {
    var calibrated = state(step: 3)
    calibrated.detector.calibration = calibration
    let written = try store.write(
      calibrated, model: tensors(1), optimizer: [], isBest: false)
    #expect(try Checkpoint(opening: written.path).state == calibrated)
    let metadata = try WeightsFile.read(written.modelPath).metadata
    #expect(metadata["temperature"] == "1.625")
    #expect(WeightsUse(state(step: 3).detector).metadata["temperature"] == nil)
    for text in ["0", "-1", "nan", "warm"] {
      #expect(
        try WeightsUse(metadata: ["temperature": text], unless: WeightsUse()).temperature == nil)
    }
  }

  @Test func aCheckpointIsCalibratedInItsPlace() throws {
    try write(30, isBest: true)
    try write(40)
    let before = try Checkpoint(opening: folder("best"))
    let after = try before.calibrated(with: calibration)
    #expect(after.state.step == 30 && after.state.detector.calibration == calibration)
    let found = try Checkpoint(opening: folder("best"))
    #expect(found.state == after.state && found.files == after.files)
    #expect(try found.model() == before.model() && found.optimizer() == before.optimizer())
    for (name, digest) in before.files where name != Checkpoint.modelName {
      #expect(found.files[name] == digest)
    }
    #expect(store.latestStep == 40 && store.bestStep == 30)
    #expect(
      try folder.contents() == ["best", "latest", "step-00000030", "step-00000040"])
    #expect(try resume().checkpoint?.state.step == 40)
  }

  @Test func aCheckpointOfATrainingAtWorkIsLeftAlone() throws {
    let run = try RunFolder(opening: folder("run"), resume: false)
    let checkpoint = try run.checkpoints.write(
      state(step: 1), model: tensors(1), optimizer: [], isBest: true)
    #expect(throws: CheckpointError.self) { try checkpoint.calibrated(with: calibration) }
    #expect(try Checkpoint(opening: checkpoint.path).state.detector.calibration == nil)
    withExtendedLifetime(run) {}
  }

  @Test func aFlippedBitAnywhereIsNoticed() throws {
    let path = try write(1).path
    for name in try folder.contents("step-00000001") {
      let file = "\(path)/\(name)"
      let count = try Data(contentsOf: URL(fileURLWithPath: file)).count
      for position in stride(from: 0, to: count, by: name == "state.json" ? 5 : 17) {
        try damage(file) { $0[position] ^= 0x02 }
        #expect(throws: CheckpointError.self, "\(name), byte \(position)") {
          try Checkpoint(opening: path)
        }
        try damage(file) { $0[position] ^= 0x02 }
      }
    }
    #expect(try Checkpoint(opening: path).state.step == 1)
  }

  @Test func aTruncatedOrMissingFileIsNoticed() throws {
    let path = try write(1).path
    for name in try folder.contents("step-00000001") {
      let file = "\(path)/\(name)"
      let whole = try Data(contentsOf: URL(fileURLWithPath: file))
      for count in [0, 1, whole.count / 2, whole.count - 2] {
        try damage(file) { $0 = whole.prefix(count) }
        #expect(throws: (any Error).self, "\(name), \(count) bytes") {
          try Checkpoint(opening: path)
        }
      }
      try FileManager.default.removeItem(atPath: file)
      let error = try #require(throws: (any Error).self) { try Checkpoint(opening: path) }
      #expect("\(error)".contains(name))
      try whole.write(to: URL(fileURLWithPath: file))
    }
    #expect(try Checkpoint(opening: path).state.step == 1)
  }

  @Test func aDamagedCheckpointFallsBackToTheNewestGoodOneAndSaysSo() throws {
    for step in [10, 20, 30, 40] { try write(step) }
    try damage(folder("step-00000040/model.safetensors")) { $0.removeLast() }
    try damage(folder("step-00000030/state.json")) { $0[40] ^= 1 }
    let (checkpoint, reports) = try resume()
    #expect(checkpoint?.state.step == 20)
    #expect(reports.count == 3)
    #expect(reports[0].contains("step-00000040/model.safetensors: is damaged"))
    #expect(reports[1].contains("step-00000030/state.json"))
    #expect(reports[2] == "continuing from step 20, the newest that is whole")
    #expect(store.latestStep == 20)
    #expect(try store.steps() == [10, 20])
    #expect(try folder.contents().contains("step-00000040.damaged"))
    // The training comes there again, and all is well.
    try write(30)
    #expect(try resume().checkpoint?.state.step == 30)
  }

  /// An rfm that is older than the run may not take its newest checkpoint for damaged.
  @Test func aCheckpointOfAnotherVersionIsLeftAloneAndNothingIsContinued() throws {
    try write(10)
    let newest = try write(20)
    let text = try Checkpoint.text(of: state(step: 20), files: newest.files, version: 2)
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(newest.path)/state.json"))
    let error = try #require(throws: UnknownCheckpointVersion.self) { try resume() }
    #expect(error.description.contains("\(newest.path)/state.json: is of version 2"))
    #expect(try store.steps() == [10, 20])
  }

  @Test(.enabled(if: geteuid() != 0, "root may read everything"))
  func aCheckpointThatMayNotBeReadIsLeftAlone() throws {
    try write(10)
    let newest = try write(20)
    chmod("\(newest.path)/model.safetensors", 0)
    let error = try #require(throws: FileError.self) { try resume() }
    #expect(error.code == EACCES)
    #expect(try store.steps() == [10, 20])
  }

  @Test func withoutOneGoodCheckpointNothingIsTouched() throws {
    #expect(try resume().checkpoint == nil)
    for step in [10, 20] {
      try write(step)
      try damage(folder("step-000000\(step)/optimizer.safetensors")) { $0.append(0) }
    }
    #expect(throws: CheckpointError.self) { try resume() }
    #expect(try store.steps() == [10, 20])
  }

  @Test func theStateOfAnotherStepIsNotTaken() throws {
    try write(10)
    try write(20)
    try FileManager.default.copyItem(
      atPath: folder("step-00000020"), toPath: folder("step-00000099"))
    let (checkpoint, reports) = try resume()
    #expect(checkpoint?.state.step == 20)
    #expect(reports.first?.contains("holds the state of step 20") == true)
  }

  @Test func aFailureWhileWritingLeavesEverythingAsItWas() throws {
    struct Stop: Error {}
    try write(10, isBest: true)
    let before = try folder.contents()
    #expect(throws: Stop.self) {
      try store.write(
        state(step: 20), model: tensors(2), optimizer: [], isBest: true
      ) {
        try Data("half".utf8).write(to: URL(fileURLWithPath: $0))
        throw Stop()
      }
    }
    #expect(throws: JSON.NotFinite.self) {
      try store.write(state(step: 20, auc: .nan), model: tensors(2), optimizer: [], isBest: true)
    }
    #expect(try folder.contents() == before)
    #expect(store.latestStep == 10 && store.bestStep == 10)
  }

  /// The process dies in the middle: simulated by keeping what lies in the folder at that moment.
  @Test func whatAKilledTrainingLeftIsClearedAway() throws {
    try write(10)
    let copy = TemporaryFolder()
    let state = state(step: 20)
    _ = try? store.write(state, model: tensors(2), optimizer: [], isBest: true) { path in
      try Data("half".utf8).write(to: URL(fileURLWithPath: path))
      for name in try folder.contents() {
        try FileManager.default.copyItem(atPath: folder(name), toPath: copy(name))
      }
      throw CancellationError()
    }
    #expect(try copy.contents().contains { $0.hasSuffix(".partial") })
    let killed = CheckpointStore(path: copy.path)
    #expect(try killed.steps() == [10])
    #expect(try killed.resume { _ in }?.state.step == 10)
    #expect(try copy.contents() == ["latest", "step-00000010"])
  }

  @Test func aCheckpointOfTheSameStepIsReplaced() throws {
    try write(10)
    try store.write(state(step: 10, auc: 0.9), model: tensors(7), optimizer: [], isBest: false)
    let checkpoint = try Checkpoint(opening: folder("latest"))
    #expect(checkpoint.state.metrics.first?.value == 0.9)
    #expect(try checkpoint.model() == tensors(7).reversed())
    #expect(try folder.contents() == ["latest", "step-00000010"])
  }

  @Test func pruningKeepsTheNewestTheBestAndTheLatest() throws {
    for step in 1...6 { try write(step, isBest: step == 2) }
    try store.prune(keep: 2)
    #expect(try store.steps() == [2, 5, 6])
    #expect(store.best()?.state.step == 2)
    try store.prune(keep: 1)
    #expect(try store.steps() == [2, 6])
    #expect(try folder.contents() == ["best", "latest", "step-00000002", "step-00000006"])
  }

  @Test func onlyFoldersOfStepsAreTaken() throws {
    for name in ["step-1", "step-00000001x", "step--0000001", ".step-00000002.1.partial", "other"] {
      try FileManager.default.createDirectory(
        atPath: folder(name), withIntermediateDirectories: false)
    }
    #expect(try store.steps() == [])
    #expect(CheckpointStore.name(step: 123_456_789) == "step-123456789")
    #expect(throws: (any Error).self) { try CheckpointStore(path: folder("none")).steps() }
  }

  /// A state that is hostile in other ways than by accident: its own digest is right.
  @Test func aStateThatPointsElsewhereIsRefused() throws {
    let path = try write(1).path
    for name in ["../secret", "/etc/passwd", "..", "", "a/b", "x\0y", "../\u{301}s"] {
      var files = try Checkpoint(opening: path).files
      files[name] = "00"
      let text = try Checkpoint.text(of: state(step: 1), files: files)
      let other = folder("hostile")
      try? FileManager.default.removeItem(atPath: other)
      try FileManager.default.copyItem(atPath: path, toPath: other)
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(other)/state.json"))
      let error = try #require(throws: CheckpointError.self) { try Checkpoint(opening: other) }
      #expect(error.description.contains("can't be in a checkpoint"))
    }
    for wrong in [
      state(step: -1),
      CheckpointState(
        step: 1, epoch: 0, position: 0, seed: 0, configurationDigest: "", ranks: 0,
        detector: .init(name: "", crop: 1, mean: 0, std: 1)),
      CheckpointState(
        step: 1, epoch: 0, position: 0, seed: 0, configurationDigest: "", ranks: 1,
        detector: .init(name: "", crop: 1, mean: 0, std: 0)),
    ] {
      let text = try Checkpoint.text(of: wrong, files: Checkpoint(opening: path).files)
      try Data(text.utf8).write(to: URL(fileURLWithPath: folder("hostile/state.json")))
      #expect(throws: CheckpointError.self) { try Checkpoint(opening: folder("hostile")) }
    }
  }
}
