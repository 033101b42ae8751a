package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	sdk "github.com/pulumi/pulumi/sdk/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// exitErrorShown is the executor's exit code after an error that the user has seen already.
const exitErrorShown = 32

// grace is how long a program that was told to end may take for it.
const grace = 5 * time.Second

// findPlugins prints what each installed package says of the plug-in it needs. Reading the files
// takes a tenth of the time that a list from pip takes, and this happens at every preview.
const findPlugins = `
import glob, json, os, sys
found = {}
for folder in sys.path:
    for path in glob.glob(os.path.join(glob.escape(folder), "*", "pulumi-plugin.json")):
        found.setdefault(os.path.basename(os.path.dirname(path)), path)
print(json.dumps([json.load(open(path, encoding="utf-8")) for _, path in sorted(found.items())]))
`

// languageHost answers the engine. Whatever it does not do is answered "unimplemented".
type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	executor string
	tracing  string
	engine   string

	stopped   context.Context // done when this process ends
	stop      context.CancelFunc
	cancelled context.Context // done when the engine cancels what runs, or this process ends
	cancel    context.CancelFunc
}

func newLanguageHost(executor, tracing string, stopped context.Context, stop context.CancelFunc) *languageHost {
	cancelled, cancel := context.WithCancel(stopped)
	return &languageHost{
		executor: executor, tracing: tracing,
		stopped: stopped, stop: stop, cancelled: cancelled, cancel: cancel,
	}
}

// follow remembers the engine and ends this process soon after the engine has gone.
func (host *languageHost) follow(engineAddress string) error {
	host.engine = engineAddress
	return rpcutil.Healthcheck(host.stopped, engineAddress, engineCheckInterval, host.stop)
}

func (host *languageHost) Handshake(
	_ context.Context, request *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	return &pulumirpc.LanguageHandshakeResponse{}, host.follow(request.EngineAddress)
}

func (host *languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

func (host *languageHost) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	host.cancel()
	return &emptypb.Empty{}, nil
}

// resolve reads `runtime.options` of Pulumi.yaml, or of a plug-in's own project file.
func resolve(info *pulumirpc.ProgramInfo, isPlugin bool) (toolchain.Toolchain, error) {
	options := toolchain.PythonOptions{Root: info.RootDirectory, ProgramDir: info.ProgramDirectory}
	text := map[string]string{}
	for key, value := range info.Options.AsMap() {
		word, isText := value.(string)
		if !isText {
			return nil, fmt.Errorf("runtime option %q must be a string", key)
		}
		text[key] = word
	}
	switch word := text["toolchain"]; word {
	case "":
	case "pip":
		options.Toolchain = toolchain.Pip
	case "poetry":
		options.Toolchain = toolchain.Poetry
	case "uv":
		options.Toolchain = toolchain.Uv
	default:
		return nil, fmt.Errorf("runtime option \"toolchain\" is %q: it must be pip, poetry or uv", word)
	}
	if word := text["typechecker"]; word != "" {
		return nil, fmt.Errorf("runtime option \"typechecker\" (%q) needs an official Pulumi CLI", word)
	}
	options.Virtualenv = text["virtualenv"]
	ownEnvironment := options.Toolchain == toolchain.Auto || options.Toolchain == toolchain.Pip
	if isPlugin && ownEnvironment && options.Virtualenv == "" {
		options.Virtualenv = "venv" // a plug-in never runs in whatever Python is around
	}
	return toolchain.ResolveToolchain(options)
}

func (host *languageHost) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	chain, err := resolve(request.Info, false)
	if err != nil {
		return nil, err
	}
	if err := chain.EnsureVenv(
		ctx, request.Info.ProgramDirectory, false, true, os.Stdout, os.Stderr,
	); err != nil {
		return nil, err
	}
	command, err := chain.Command(ctx, "-c", findPlugins)
	if err != nil {
		return nil, err
	}
	listing, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s could not list its packages: %w", command.Path, err)
	}
	var found []plugin.PulumiPluginJSON
	if err := json.Unmarshal(listing, &found); err != nil {
		return nil, err
	}
	response := &pulumirpc.GetRequiredPackagesResponse{}
	for _, entry := range found {
		if !entry.Resource || entry.Name == "" || entry.Version == "" {
			continue
		}
		needed := &pulumirpc.PackageDependency{
			Name: entry.Name, Version: entry.Version, Kind: "resource", Server: entry.Server,
		}
		if parameter := entry.Parameterization; parameter != nil {
			needed.Parameterization = &pulumirpc.PackageParameterization{
				Name: parameter.Name, Version: parameter.Version, Value: parameter.Value,
			}
		}
		response.Packages = append(response.Packages, needed)
	}
	return response, nil
}

// Run runs the program through Pulumi's executor and tells a program's error from a broken set-up.
func (host *languageHost) Run(
	ctx context.Context, request *pulumirpc.RunRequest,
) (*pulumirpc.RunResponse, error) {
	chain, err := resolve(request.Info, false)
	if err != nil {
		return nil, err
	}
	if err := chain.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	if request.AttachDebugger {
		return nil, errors.New("attaching a debugger needs an official Pulumi CLI")
	}
	running, cancel := context.WithCancel(host.cancelled)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()

	command, err := chain.Command(running, host.arguments(request)...)
	if err != nil {
		return nil, err
	}
	// The executor expects JSON in both, so an empty collection and never null.
	config, secretKeys := request.Config, request.ConfigSecretKeys
	if config == nil {
		config = map[string]string{}
	}
	if secretKeys == nil {
		secretKeys = []string{}
	}
	if err := addEnvironment(command, "PULUMI_CONFIG", config); err != nil {
		return nil, err
	}
	if err := addEnvironment(command, "PULUMI_CONFIG_SECRET_KEYS", secretKeys); err != nil {
		return nil, err
	}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	terminateFirst(command)

	err = command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitErrorShown:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		message := fmt.Sprintf("program exited with non-zero exit code: %d", exit.ExitCode())
		return &pulumirpc.RunResponse{Error: message}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("program ended unexpectedly: %v", err)}, nil
	}
}

// arguments are the command line of the executor; a flag without a value is left out.
func (host *languageHost) arguments(request *pulumirpc.RunRequest) []string {
	arguments := []string{host.executor}
	for _, flag := range [][2]string{
		{"--monitor", request.MonitorAddress},
		{"--engine", host.engine},
		{"--project", request.Project},
		{"--root_directory", request.Info.RootDirectory},
		{"--stack", request.Stack},
		{"--pwd", request.Pwd},
		{"--dry_run", strconv.FormatBool(request.DryRun)},
		{"--parallel", strconv.Itoa(int(request.Parallel))},
		{"--tracing", host.tracing},
		{"--organization", request.Organization},
	} {
		if flag[1] != "" {
			arguments = append(arguments, flag[0], flag[1])
		}
	}
	return append(append(arguments, request.Info.EntryPoint), request.Args...)
}

// RunPlugin runs a provider or policy pack that is written in Python and passes its output on.
func (host *languageHost) RunPlugin(
	request *pulumirpc.RunPluginRequest, server grpc.ServerStreamingServer[pulumirpc.RunPluginResponse],
) error {
	ctx := server.Context()
	isPolicy := request.Kind == string(apitype.AnalyzerPlugin)
	chain, err := resolve(request.Info, !isPolicy)
	if err != nil {
		return err
	}
	arguments := append([]string{request.Info.ProgramDirectory}, request.Args...)
	folder := request.Pwd
	if isPolicy { // packs have always been run from their own folder, with it as last argument
		arguments = append(append([]string{"-u", "-m", "pulumi.policy"}, request.Args...),
			request.Info.ProgramDirectory)
		folder = request.Info.ProgramDirectory
	}
	command, err := chain.Command(ctx, arguments...)
	if err != nil {
		return err
	}
	command.Dir = folder
	command.Env = append(command.Environ(), request.Env...)
	terminateFirst(command)

	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(server, false)
	if err != nil {
		return err
	}
	defer closer.Close()
	command.Stdout, command.Stderr = stdout, stderr
	if isPolicy {
		err = runPolicyPack(ctx, command, stdout)
	} else {
		err = command.Run()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code := int32(exit.ExitCode())
		return server.Send(&pulumirpc.RunPluginResponse{
			Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: code},
		})
	}
	return errors.Join(err, closer.Close())
}

// runPolicyPack starts a pack through Pulumi's proxy, which gives it the stack's settings in its
// environment: packs written in Python read them there, while the engine sends them in a call.
func runPolicyPack(ctx context.Context, command *exec.Cmd, stdout io.Writer) error {
	proxy, proxied, err := sdk.NewPolicyProxy(ctx, stdout)
	if err != nil {
		return err
	}
	command.Stdout = proxied
	stack, err := proxy.AwaitConfiguration(ctx)
	if err != nil {
		return err
	}
	if stack != nil {
		command.Env = append(command.Env,
			"PULUMI_ORGANIZATION="+stack.Organization, "PULUMI_PROJECT="+stack.Project,
			"PULUMI_STACK="+stack.Stack, "PULUMI_DRY_RUN="+strconv.FormatBool(stack.DryRun))
		if err := addEnvironment(command, "PULUMI_CONFIG", stack.Config); err != nil {
			return err
		}
	}
	if err := command.Start(); err != nil {
		return err
	}
	return proxy.Attach(ctx, command)
}

func (host *languageHost) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest,
	server grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse],
) error {
	chain, err := resolve(request.Info, request.IsPlugin)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(server, request.IsTerminal)
	if err != nil {
		return err
	}
	defer closer.Close()
	if err := chain.InstallDependencies(server.Context(), request.Info.ProgramDirectory,
		request.UseLanguageVersionTools, true, stdout, stderr); err != nil {
		return err
	}
	return closer.Close()
}

func (host *languageHost) About(
	ctx context.Context, request *pulumirpc.AboutRequest,
) (*pulumirpc.AboutResponse, error) {
	info := request.GetInfo()
	if info == nil {
		info = &pulumirpc.ProgramInfo{}
	}
	chain, err := resolve(info, false)
	if err != nil {
		return nil, err
	}
	about, err := chain.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{
		Executable: about.PythonExecutable, Version: about.PythonVersion.String(),
	}, nil
}

func (host *languageHost) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	chain, err := resolve(request.Info, false)
	if err != nil {
		return nil, err
	}
	installed, err := chain.ListPackages(ctx, request.TransitiveDependencies)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, entry := range installed {
		response.Dependencies = append(response.Dependencies,
			&pulumirpc.DependencyInfo{Name: entry.Name, Version: entry.Version})
	}
	return response, nil
}

// GeneratePackage writes the Python SDK of a schema (`pulumi package gen-sdk`).
func (host *languageHost) GeneratePackage(
	_ context.Context, request *pulumirpc.GeneratePackageRequest,
) (*pulumirpc.GeneratePackageResponse, error) {
	client, err := schema.NewLoaderClient(request.LoaderTarget)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	loader := schema.NewCachedLoader(client)
	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(request.Schema), &spec); err != nil {
		return nil, err
	}
	entry, problems, err := schema.BindSpec(spec, loader, schema.ValidationOptions{
		AllowDanglingReferences: true,
	})
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GeneratePackageResponse{
		Diagnostics: plugin.HclDiagnosticsToRPCDiagnostics(problems),
	}
	if problems.HasErrors() {
		return response, nil
	}
	files, err := python.GeneratePackage("pulumi-language-python", entry, request.ExtraFiles, loader)
	if err != nil {
		return nil, err
	}
	for name, content := range files {
		path := filepath.Join(request.Directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return nil, err
		}
	}
	return response, nil
}

// terminateFirst lets a program that is cancelled end by itself before it is killed. The engine
// cancels a program whose resource failed, too: an interrupt would add a traceback to that error.
func terminateFirst(command *exec.Cmd) {
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = grace
}

// addEnvironment adds one variable that holds JSON to what the command starts with.
func addEnvironment(command *exec.Cmd, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	command.Env = append(command.Environ(), name+"="+string(text))
	return nil
}
