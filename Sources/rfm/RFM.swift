import ArgumentParser
import Configuration
import Foundation
import Foundations
import MessagePassing
import SyntheticFaces

@main
struct RFM: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rfm",
    abstract: "Train, explain and apply fake-face detectors.",
    discussion: """
      Trains detectors by Representative Forgery Mining (Wang and Deng, CVPR 2021), data-parallel \
      over MPI: start any command that takes data under mpirun, and the work is split.

      A first run:
        rfm synthesize --output data/smoke --images-per-class 120 --size 72
        mpirun -np 2 --bind-to none rfm train --config configs/smoke.yaml
        rfm evaluate --checkpoint runs/smoke/checkpoints/best --data 'data/smoke/test-*.h5' \\
          --output out
      """,
    version: RunVersions.rfm,
    subcommands: [
      SynthesizeCommand.self, PackCommand.self, InspectCommand.self, TrainCommand.self,
      EvaluateCommand.self, AttentionCommand.self, PrototypesCommand.self, AttributeCommand.self,
      ExplainCommand.self, CalibrateCommand.self, ExportCommand.self, CompareCommand.self,
      ReportCommand.self, StatusCommand.self, BenchmarkCommand.self,
    ]
  )

  /// One rank speaks, an error on any rank ends all of them, and the exit status says what kind of
  /// error it was.
  static func main() {
    do {
      var command = try parseAsRoot()
      // Help and completion scripts are commands of the parser's own, which end by throwing.
      if String(reflecting: type(of: command)).hasPrefix("ArgumentParser.") { try command.run() }
      let status: (any Error) -> Int32 = { ExitStatus(ending: $0).rawValue }
      let shown: (String) -> String = { printable($0, limit: 4000) }
      MessagePassing.runRank(exitStatus: status, shown: shown) {
        do {
          try MessagePassing.checkLaunch()
          try command.run()
        } catch let status as ExitCode {
          leave(with: status)
        } catch let error as ValidationError {
          leave(with: error)
        }
      }
    } catch {
      leave(with: error)
    }
  }

  private static func leave(with error: any Error) -> Never {
    let rank = MessagePassing.rank
    if exitCode(for: error).isSuccess {
      if rank == 0 { exit(withError: error) }
    } else if case let message = fullMessage(for: error), !message.isEmpty {
      var place = ""
      if rank != 0 {
        // Where all were started with the same mistake, rank 0 says so and ends the job.
        sleep(2)
        place = "rfm: rank \(rank): the command line of this rank can't be used\n"
      }
      // In one piece: the parser would write it byte by byte, and mpirun's own words come between.
      writeToStandardError("\(place)\(fitForTerminal(message))\n")
    }
    Self.exit(withError: ExitCode(exitCode(for: error).rawValue))
  }
}
