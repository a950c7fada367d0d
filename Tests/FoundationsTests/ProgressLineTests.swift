import Synchronization
import Testing

@testable import Foundations

@Suite struct ProgressLineTests {
  /// Open MPI 5's launcher keeps what does not end with its line.
  @Test func aTerminalBehindALauncherCountsWherePartsOfLinesArePassedOn() {
    #expect(ProgressLine.Output.distantWidth("132", pmix: nil) == 132)
    #expect(ProgressLine.Output.distantWidth("132", pmix: "4.2.2") == 132)
    #expect(ProgressLine.Output.distantWidth("132", pmix: "5.0.6") == nil)
    #expect(ProgressLine.Output.distantWidth("wide", pmix: nil) == nil)
    #expect(ProgressLine.Output.distantWidth(nil, pmix: nil) == nil)
  }

  /// A terminal, or none, with a clock that is set by hand.
  private final class Screen: Sendable {
    let text = Mutex("")
    let time = Mutex(0.0)

    func output(isTerminal: Bool, width: Int = 80, interval: Double) -> ProgressLine.Output {
      ProgressLine.Output(
        isTerminal: isTerminal, width: { width },
        write: { part in self.text.withLock { $0 += part } },
        now: { self.time.withLock { $0 } }, interval: interval)
    }

    func wait(_ seconds: Double) { time.withLock { $0 += seconds } }
    var written: String { text.withLock { $0 } }
    /// What stands on the screen when every return has been obeyed.
    var lines: [String] {
      written.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        var shown: [Character] = []
        for part in line.split(separator: "\r") {
          for (column, character) in part.enumerated() {
            if column < shown.count { shown[column] = character } else { shown.append(character) }
          }
        }
        while shown.last == " " { shown.removeLast() }
        return String(shown)
      }
    }
  }

  @Test func withoutATerminalThereArePlainLinesNowAndThen() {
    let screen = Screen()
    let progress = ProgressLine(
      "step", total: 100, start: 10, items: ("images", 4),
      output: screen.output(isTerminal: false, interval: 10))
    for step in 11...100 {
      screen.wait(0.5)
      progress.update(step, "loss \(fixed(1 / Double(step), 4))")
    }
    progress.finish()
    progress.finish()
    #expect(!screen.written.contains("\r"))
    #expect(
      screen.lines == [
        "step 11/100  loss 0.0909  8.00 images/s  45 s left",
        "step 31/100  loss 0.0323  8.00 images/s  35 s left",
        "step 51/100  loss 0.0196  8.00 images/s  25 s left",
        "step 71/100  loss 0.0141  8.00 images/s  15 s left",
        "step 91/100  loss 0.0110  8.00 images/s  5 s left",
        "step 100/100  loss 0.0100  8.00 images/s",
        "",
      ])
  }

  @Test func onATerminalThereIsOneLineThatChanges() {
    let screen = Screen()
    let progress = ProgressLine(
      "image", total: nil, output: screen.output(isTerminal: true, interval: 0.125))
    for image in 1...50 {
      screen.wait(0.0625)
      progress.update(image, image < 25 ? "a long detail" : "short")
    }
    progress.message("skipped x.jpg")
    progress.finish()
    #expect(screen.lines == ["skipped x.jpg", "image 50  short  16.0 images/s", ""])
    // Limited in rate: every other update was shown, then once more for the message and the end.
    #expect(screen.written.count(where: { $0 == "\r" }) == 25 + 2 + 2)
  }

  @Test func aNarrowTerminalGetsAShorterLine() {
    let screen = Screen()
    let progress = ProgressLine(
      "step", total: 10, output: screen.output(isTerminal: true, width: 10, interval: 0))
    screen.wait(1)
    progress.update(1, "loss 0.5")
    #expect(screen.lines == ["step 1/10"])
  }

  @Test func theRateIsThatOfTheLastMoments() {
    let screen = Screen()
    let progress = ProgressLine(
      "step", total: 1000, output: screen.output(isTerminal: false, interval: 1))
    var done = 0
    for _ in 0..<60 {
      screen.wait(1)
      done += 1
      progress.update(done)
    }
    for _ in 0..<40 {
      screen.wait(1)
      done += 10
      progress.update(done)
    }
    #expect(screen.lines.dropLast().last?.contains("10.0 steps/s  54 s left") == true)
  }

  @Test func aDetailThatIsNotShownIsNotMade() {
    let screen = Screen()
    let progress = ProgressLine(
      "step", total: 6, output: screen.output(isTerminal: false, interval: 9))
    var made = 0
    for step in 1...5 {
      progress.update(
        step,
        {
          made += 1
          return ""
        }())
    }
    #expect(made == 1)
  }

  @Test func theLastLineHasTheLastDetailOrNone() {
    for (last, line) in [
      (3, "step 3/3  d3  3.00 steps/s"), (2, "step 2/3  2.00 steps/s  1 s left"),
    ] {
      let screen = Screen()
      let progress = ProgressLine(
        "step", total: 3, output: screen.output(isTerminal: false, interval: 9))
      for step in 1...last {
        if step == last { screen.wait(1) }
        progress.update(step, "d\(step)")
      }
      progress.finish()
      #expect(screen.lines.dropLast().last == line)
    }
  }

  @Test func durationsAndNumbersReadWell() {
    #expect(
      [0.2, 59, 60, 3599.5, 3600, 90_000, .infinity].map { ProgressLine.duration($0) } == [
        "1 s", "59 s", "1 min 0 s", "1 h 0 min", "1 h 0 min", "1 d 1 h", "for ever",
      ])
    #expect(
      [1234.5, 12.34, 1.234, 0.01234, 0, 99.99].map { significant($0) } == [
        "1235", "12.3", "1.23", "0.0123", "0.0", "100.0",
      ])
    #expect(
      [0.12345, -0.00001, -1.5, 2].map { fixed($0, 3) } == ["0.123", "0.000", "-1.500", "2.000"])
    #expect(fixed(2.5, 0) == "3" && fixed(.nan, 2) == "nan")
  }
}
