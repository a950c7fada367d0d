import ArgumentParser

@main
struct RFM: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rfm", abstract: "Train, explain and apply fake-face detectors.",
    subcommands: [SynthesizeCommand.self, PackCommand.self])
}
