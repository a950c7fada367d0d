import Foundation
import Foundations
import Testing

@testable import Checkpoints

/// What is told of a run from its folder, and to Prometheus.
@Suite final class RunOverviewTests {
  private let folder: String

  init() throws {
    folder = FileManager.default.temporaryDirectory.path + "/rfm-overview-\(UUID().uuidString)"
    try DurableFile.makeFolder(folder)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private func status(_ state: RunStatus.State = .training) -> RunStatus {
    var status = RunStatus(
      state: state, updated: 1000, started: 900, startedAtStep: 20, step: 40, totalSteps: 100,
      epoch: 3, ranks: 4, hosts: 2)
    status.loss = 0.25
    status.learningRate = 2e-4
    status.imagesPerSecond = 41.5
    status.slowestRank = .init(
      rank: 3, host: "b", secondsPerPhase: ["load": 0.5, "forward": 1, "reduce": 7])
    return status
  }

  @Test func aTrainingAtWorkIsToldWithItsTimeLeft() throws {
    let run = try RunFolder(opening: folder, resume: false)
    try run.write(status())
    let told = try RunOverview(reading: folder, now: 1007)
    #expect(told.state == .training && told.updatedSecondsAgo == 7)
    #expect(told.step == 40 && told.totalSteps == 100 && told.epoch == 3)
    // 20 steps in 100 seconds; 60 are left.
    #expect(told.secondsLeft == 300)
    #expect(told.slowestRank?.rank == 3 && told.slowestRank?.secondsOfWork == 1.5)
    #expect((told.diskFreeBytes ?? 0) > 0 && told.checkpoint == nil && told.best == nil)
    let text = told.lines.joined(separator: "\n")
    for words in [
      "training, last heard of 7 s ago", "40 of 100 (40.0 %), epoch 3", "5 min 0 s left",
      "41.5 images/s", "none yet", "4 on 2 hosts", "rank 3 on b, load 0.500 s, forward 1.00 s",
    ] {
      #expect(text.contains(words), "\(text)")
    }
    let json = try JSON(parsing: Array(told.json.utf8))
    #expect(json["seconds_left"]?.doubleValue == 300 && json["state"] == "training")
    #expect(json["slowest_rank"]?["seconds_per_phase"]?["reduce"]?.doubleValue == 7)
  }

  /// The lock of the folder goes with the process that had it.
  @Test func aTrainingThatWasKilledIsToldFromOneAtWork() throws {
    var run: RunFolder? = try RunFolder(opening: folder, resume: false)
    try run?.write(status())
    run = nil
    let told = try RunOverview(reading: folder, now: 5000)
    #expect(told.state == .killed && told.updatedSecondsAgo == 4000 && told.secondsLeft == nil)
    #expect(told.lines[0].contains("go on with --resume"), "\(told.lines)")
    #expect(told.lines[0].contains("last heard of 1 h 6 min ago"), "\(told.lines)")
  }

  private typealias Case = (told: RunStatus.State?, isHeld: Bool?, state: RunOverview.State)

  @Test func whatIsToldAndWhoHasTheFolderMakeTheState() {
    let cases: [Case] = [
      (.training, true, .training), (.training, false, .killed), (.training, nil, .training),
      (.saving, false, .killed), (.finished, false, .finished), (.finished, true, .starting),
      (.stopped, nil, .stopped), (.failed, false, .failed), (nil, true, .starting),
      (nil, false, .unknown), (nil, nil, .unknown),
    ]
    for (told, isHeld, state) in cases {
      #expect(RunOverview.state(told, isHeld: isHeld) == state)
    }
  }

  /// Steps since the last report are in the metrics, of which a line may be half-written.
  @Test func stepsSinceTheLastReportAreTakenFromTheMetrics() throws {
    let run = try RunFolder(opening: folder, resume: false)
    try run.write(status())
    let lines = [
      #"{"step":41,"epoch":3,"loss":0.5,"learning_rate":0.1,"images_per_second":2}"#,
      #"{"step":42,"epoch":4,"loss":null,"learning_rate":0.2,"images_per_second":3}"#,
      #"{"step":42,"validation_auc":0.9}"#, #"{"step":43,"epo"#,
    ]
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: run.metricsPath))
    let told = try RunOverview(reading: folder, now: 1007)
    #expect(told.step == 42 && told.epoch == 4 && told.loss == nil)
    #expect(told.learningRate == 0.2 && told.imagesPerSecond == 3)
    // And of a run of an older rfm they are all there is.
    try FileManager.default.removeItem(atPath: run.statusPath)
    let older = try RunOverview(reading: folder)
    #expect(older.state == .starting && older.step == 42 && older.totalSteps == nil)
    #expect(older.updatedSecondsAgo.map { $0 < 600 } == true)
  }

  @Test func whatIsNoRunFolderIsRefused() throws {
    #expect(throws: CheckpointError.self) { try RunOverview(reading: folder) }
    #expect(throws: FileError.self) { try RunOverview(reading: folder + "/none") }
    try Data("{".utf8).write(to: URL(filePath: folder + "/status.json"))
    #expect(throws: CheckpointError.self) { try RunOverview(reading: folder) }
  }

  // MARK: Prometheus

  @Test func prometheusIsToldEachFamilyWithHelpAndType() throws {
    var status = status()
    status.bestValidationAUC = 0.875
    status.bestStep = 20
    let text = MonitoringText.of(
      status, run: "a \"b\"\\\n", checkpoint: (40, 999.5), diskFree: 1 << 40)
    let run = #"run="a \"b\"\\\n""#
    for line in [
      "rfm_training_step{\(run)} 40", "rfm_training_steps{\(run)} 100",
      "rfm_training_running{\(run)} 1", "rfm_training_loss{\(run)} 0.25",
      "rfm_training_left_seconds{\(run)} 300", "rfm_checkpoint_timestamp_seconds{\(run)} 999.5",
      "rfm_disk_free_bytes{\(run)} 1099511627776", "rfm_best_validation_auc_ratio{\(run)} 0.875",
      "rfm_training_state{\(run),state=\"training\"} 1",
      "rfm_slowest_rank_phase_seconds{\(run),rank=\"3\",host=\"b\",phase=\"reduce\"} 7",
    ] {
      #expect(text.contains("\n\(line)\n"), "\(line)\n\(text)")
    }
    // Every sample belongs to the family announced last, and no family comes twice.
    #expect(text.hasSuffix("\n"))
    var families: [String] = []
    var helped = ""
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if line.hasPrefix("# HELP ") {
        helped = String(words[2])
      } else if line.hasPrefix("# TYPE ") {
        #expect(words[2] == helped && ["gauge", "counter"].contains(words[3]), "\(line)")
        #expect((words[3] == "counter") == helped.hasSuffix("_total"), "\(line)")
        families.append(helped)
      } else {
        #expect(line.wholeMatch(of: /[a-z_]+\{.*\} (NaN|[+-]Inf|[-+.e0-9]+)/) != nil, "\(line)")
        #expect(line.hasPrefix(families.last! + "{"), "\(line)")
      }
    }
    #expect(Set(families).count == families.count)
    status.loss = nil
    status.state = .failed
    let ended = MonitoringText.of(status, run: "x", checkpoint: nil, diskFree: nil)
    #expect(ended.contains("rfm_training_loss{run=\"x\"} NaN\n"))
    #expect(ended.contains("rfm_training_running{run=\"x\"} 0\n"))
  }
}
