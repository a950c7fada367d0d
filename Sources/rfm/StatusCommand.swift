import ArgumentParser
import Checkpoints
import MessagePassing

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Say what a training is at, or how it ended.",
    discussion: """
      Tells step, rate, time left, the newest checkpoint and the best, the slowest rank with its phases, \
      and the disk that is left, from the files of the run folder alone: on any host that sees it, while \
      the training runs and after it has ended or was killed. Nothing is changed.

      Examples:
        rfm status runs/demo
        watch -n 10 rfm status runs/demo
        rfm status runs/demo --json
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"), transform: pathToRead)
  var folder: String

  @Flag(help: "Print JSON instead of lines for people.")
  var json = false

  func run() throws {
    // Started under mpirun by mistake, one says it.
    guard MessagePassing.rank == 0 else { return }
    let overview = try RunOverview(reading: folder)
    printLines(json ? try overview.json : overview.lines.joined(separator: "\n"))
  }
}
