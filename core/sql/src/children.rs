//! The fields of every raw parse-tree node: a walk that cannot overlook one.
//!
//! The table lists each struct as `Name: fields with nodes below | fields without;`. The macro takes
//! the structs apart without `..`, so that a new field of a new parser version breaks the build.

use pg_query::{Node, NodeEnum, protobuf as pb};

/// What a walk does with the things that it meets.
pub(crate) trait Visitor {
    /// Any node.
    fn node(&mut self, node: &mut Node);
    /// A relation name that is a field, not a node.
    fn range_var(&mut self, relation: &mut pb::RangeVar);
    /// A query that is a field, not a node.
    fn select(&mut self, select: &mut pb::SelectStmt);
    /// A type that is named, wherever that is.
    fn type_name(&mut self, _name: &pb::TypeName) {}
}

/// Calls the visitor for each thing one step below.
pub(crate) trait Children {
    /// The walk of one step.
    fn children(&mut self, visitor: &mut dyn Visitor);
}

impl Children for Node {
    fn children(&mut self, visitor: &mut dyn Visitor) {
        visitor.node(self);
    }
}

impl Children for pb::RangeVar {
    fn children(&mut self, visitor: &mut dyn Visitor) {
        visitor.range_var(self);
    }
}

impl Children for pb::SelectStmt {
    fn children(&mut self, visitor: &mut dyn Visitor) {
        visitor.select(self);
    }
}

impl Children for pb::TypeName {
    fn children(&mut self, visitor: &mut dyn Visitor) {
        visitor.type_name(self);
        let pb::TypeName {
            names,
            typmods,
            array_bounds,
            type_oid: _,
            setof: _,
            pct_type: _,
            typemod: _,
            location: _,
        } = self;
        names.children(visitor);
        // A name among the modifiers, as in `geometry(point)`, is the type's to read, and no column.
        let names_column = |node: &Node| matches!(node.node, Some(NodeEnum::ColumnRef(_)));
        typmods.iter_mut().filter(|m| !names_column(m)).for_each(|m| m.children(visitor));
        array_bounds.children(visitor);
    }
}

impl<T: Children> Children for Vec<T> {
    fn children(&mut self, visitor: &mut dyn Visitor) {
        self.iter_mut().for_each(|item| item.children(visitor));
    }
}

impl<T: Children> Children for Option<T> {
    fn children(&mut self, visitor: &mut dyn Visitor) {
        self.iter_mut().for_each(|item| item.children(visitor));
    }
}

impl<T: Children> Children for Box<T> {
    fn children(&mut self, visitor: &mut dyn Visitor) {
        (**self).children(visitor);
    }
}

/// Makes two trees comparable: what they mean stays, where it stood in the text goes.
pub(crate) trait Places {
    /// Sets every place in a text to zero.
    fn forget_places(&mut self);
}

impl Places for Node {
    fn forget_places(&mut self) {
        if let Some(inner) = &mut self.node {
            inner.forget_places();
        }
    }
}

impl Places for pb::RangeVar {
    fn forget_places(&mut self) {
        // Its alias is names alone.
        self.location = 0;
    }
}

impl Places for pb::TypeName {
    fn forget_places(&mut self) {
        self.location = 0;
        for list in [&mut self.names, &mut self.typmods, &mut self.array_bounds] {
            list.forget_places();
        }
    }
}

impl Places for pb::SelectStmt {
    fn forget_places(&mut self) {
        select_fields(self);
    }
}

impl<T: Places> Places for Vec<T> {
    fn forget_places(&mut self) {
        self.iter_mut().for_each(Places::forget_places);
    }
}

impl<T: Places> Places for Option<T> {
    fn forget_places(&mut self) {
        self.iter_mut().for_each(Places::forget_places);
    }
}

impl<T: Places> Places for Box<T> {
    fn forget_places(&mut self) {
        (**self).forget_places();
    }
}

/// Sets `value` to zero where the name of its field is that of a place.
fn forget<T: 'static>(field: &str, value: &mut T) {
    let place = field.contains("location")
        || matches!(field, "stmt_len" | "list_start" | "list_end")
        || matches!(field, "rexpr_list_start" | "rexpr_list_end");
    if place && let Some(place) = (value as &mut dyn std::any::Any).downcast_mut::<i32>() {
        *place = 0;
    }
}

macro_rules! children {
    ($($name:ident: $($field:ident)* | $($plain:ident)*;)*) => {$(
        impl Places for pb::$name {
            fn forget_places(&mut self) {
                let pb::$name { $($field,)* $($plain,)* } = self;
                $($field.forget_places();)*
                $(forget(stringify!($plain), $plain);)*
            }
        }
        impl Children for pb::$name {
            fn children(&mut self, visitor: &mut dyn Visitor) {
                let pb::$name { $($field,)* $($plain: _,)* } = self;
                $($field.children(visitor);)*
                let _ = visitor;
            }
        }
    )*};
}

/// Walks one step below an expression or clause.
macro_rules! descend {
    (
        clauses { $($clause:ident)* }
        statements { $($statement:ident)* }
        analysed { $($analysed:ident)* }
    ) => {
        /// Walks one step below `node`; errors with the name of a node that has no business in an
        /// expression of a raw parse tree.
        pub(crate) fn descend(
            node: &mut NodeEnum,
            visitor: &mut dyn Visitor,
        ) -> Result<(), &'static str> {
            match node {
                NodeEnum::Integer(_)
                | NodeEnum::Float(_)
                | NodeEnum::Boolean(_)
                | NodeEnum::String(_)
                | NodeEnum::BitString(_)
                | NodeEnum::AConst(_) => {}
                $(NodeEnum::$clause(inner) => inner.children(visitor),)*
                // A statement inside an expression has a handler of its own or is not understood.
                $(NodeEnum::$statement(_) => return Err(stringify!($statement)),)*
                // These exist only after analysis, or not in the grammar.
                $(NodeEnum::$analysed(_) => return Err(stringify!($analysed)),)*
            }
            Ok(())
        }

        impl Places for NodeEnum {
            fn forget_places(&mut self) {
                match self {
                    NodeEnum::Integer(_)
                    | NodeEnum::Float(_)
                    | NodeEnum::Boolean(_)
                    | NodeEnum::String(_)
                    | NodeEnum::BitString(_) => {}
                    NodeEnum::AConst(constant) => constant.location = 0,
                    $(NodeEnum::$clause(inner) => inner.forget_places(),)*
                    $(NodeEnum::$statement(inner) => inner.forget_places(),)*
                    // No raw parse tree has them: two that did would compare with their places.
                    $(NodeEnum::$analysed(_) => {})*
                }
            }
        }
    };
}

fn select_fields(select: &mut pb::SelectStmt) {
    let pb::SelectStmt {
        distinct_clause,
        into_clause,
        target_list,
        from_clause,
        where_clause,
        group_clause,
        group_distinct: _,
        having_clause,
        window_clause,
        values_lists,
        sort_clause,
        limit_offset,
        limit_count,
        limit_option: _,
        locking_clause,
        with_clause,
        op: _,
        all: _,
        larg,
        rarg,
    } = select;
    for list in [
        distinct_clause,
        target_list,
        from_clause,
        group_clause,
        window_clause,
        values_lists,
        sort_clause,
        locking_clause,
    ] {
        list.forget_places();
    }
    for node in [where_clause, having_clause, limit_offset, limit_count] {
        node.forget_places();
    }
    into_clause.forget_places();
    with_clause.forget_places();
    larg.forget_places();
    rarg.forget_places();
}

descend! {
    clauses {
        Alias RangeVar IntoClause GroupingFunc MergeSupportFunc NamedArgExpr BoolExpr SubLink
        CaseExpr
            CaseWhen RowExpr CoalesceExpr MinMaxExpr SqlvalueFunction XmlExpr JsonFormat
            JsonReturning
            JsonValueExpr JsonIsPredicate JsonBehavior NullTest BooleanTest SetToDefault
            CurrentOfExpr
            JoinExpr TypeName ColumnRef ParamRef AExpr TypeCast CollateClause RoleSpec FuncCall
            AStar
            AIndices AIndirection AArrayExpr ResTarget MultiAssignRef SortBy WindowDef
            RangeSubselect
            RangeFunction RangeTableFunc RangeTableFuncCol RangeTableSample ColumnDef
            TableLikeClause
            IndexElem DefElem LockingClause XmlSerialize PartitionElem PartitionSpec
            PartitionBoundSpec PartitionRangeDatum PartitionCmd GroupingSet WithClause InferClause
            OnConflictClause CtesearchClause CtecycleClause CommonTableExpr MergeWhenClause
            ReturningOption ReturningClause TriggerTransition JsonOutput JsonArgument JsonFuncExpr
            JsonTablePathSpec JsonTable JsonTableColumn JsonKeyValue JsonParseExpr JsonScalarExpr
            JsonSerializeExpr JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor
            JsonAggConstructor JsonObjectAgg JsonArrayAgg AlterTableCmd AtalterConstraint
            ObjectWithArgs AccessPriv Constraint CreateOpClassItem StatsElem FunctionParameter
            VacuumRelation PublicationTable PublicationObjSpec List
    }
    statements {
        RawStmt InsertStmt DeleteStmt UpdateStmt MergeStmt SelectStmt ReturnStmt PlassignStmt
            CreateSchemaStmt AlterTableStmt ReplicaIdentityStmt AlterCollationStmt AlterDomainStmt
            GrantStmt GrantRoleStmt AlterDefaultPrivilegesStmt CopyStmt VariableSetStmt
            VariableShowStmt CreateStmt CreateTableSpaceStmt DropTableSpaceStmt
            AlterTableSpaceOptionsStmt AlterTableMoveAllStmt CreateExtensionStmt AlterExtensionStmt
            AlterExtensionContentsStmt CreateFdwStmt AlterFdwStmt CreateForeignServerStmt
            AlterForeignServerStmt CreateForeignTableStmt CreateUserMappingStmt AlterUserMappingStmt
            DropUserMappingStmt ImportForeignSchemaStmt CreatePolicyStmt AlterPolicyStmt
            CreateAmStmt
            CreateTrigStmt CreateEventTrigStmt AlterEventTrigStmt CreatePlangStmt CreateRoleStmt
            AlterRoleStmt AlterRoleSetStmt DropRoleStmt CreateSeqStmt AlterSeqStmt DefineStmt
            CreateDomainStmt CreateOpClassStmt CreateOpFamilyStmt AlterOpFamilyStmt DropStmt
            TruncateStmt CommentStmt SecLabelStmt DeclareCursorStmt ClosePortalStmt FetchStmt
            IndexStmt CreateStatsStmt AlterStatsStmt CreateFunctionStmt AlterFunctionStmt DoStmt
            CallStmt RenameStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOwnerStmt
            AlterOperatorStmt AlterTypeStmt RuleStmt NotifyStmt ListenStmt UnlistenStmt
            TransactionStmt CompositeTypeStmt CreateEnumStmt CreateRangeStmt AlterEnumStmt ViewStmt
            LoadStmt CreatedbStmt AlterDatabaseStmt AlterDatabaseRefreshCollStmt
            AlterDatabaseSetStmt
            DropdbStmt AlterSystemStmt ClusterStmt VacuumStmt ExplainStmt CreateTableAsStmt
            RefreshMatViewStmt CheckPointStmt DiscardStmt LockStmt ConstraintsSetStmt ReindexStmt
            CreateConversionStmt CreateCastStmt CreateTransformStmt PrepareStmt ExecuteStmt
            DeallocateStmt DropOwnedStmt ReassignOwnedStmt AlterTsdictionaryStmt
            AlterTsconfigurationStmt CreatePublicationStmt AlterPublicationStmt
            CreateSubscriptionStmt
            AlterSubscriptionStmt DropSubscriptionStmt
    }
    analysed {
        TableFunc Var Param Aggref WindowFunc WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr
            DistinctExpr NullIfExpr ScalarArrayOpExpr SubPlan AlternativeSubPlan FieldSelect
            FieldStore RelabelType CoerceViaIo ArrayCoerceExpr ConvertRowtypeExpr CollateExpr
            CaseTestExpr ArrayExpr RowCompareExpr JsonConstructorExpr JsonExpr JsonTablePath
            JsonTablePathScan JsonTableSiblingJoin MergeAction CoerceToDomain CoerceToDomainValue
            NextValueExpr InferenceElem ReturningExpr TargetEntry RangeTblRef FromExpr
            OnConflictExpr
            Query RangeTblEntry RtepermissionInfo RangeTblFunction TableSampleClause WithCheckOption
            SortGroupClause WindowClause RowMarkClause SetOperationStmt InlineCodeBlock CallContext
            IntList OidList
    }
}

children! {
    Alias: colnames | aliasname;
    IntoClause: rel col_names options | access_method on_commit table_space_name view_query
        skip_data;
    GroupingFunc: xpr args refs | agglevelsup location;
    MergeSupportFunc: xpr | msftype msfcollid location;
    NamedArgExpr: xpr arg | name argnumber location;
    BoolExpr: xpr args | boolop location;
    SubLink: xpr testexpr oper_name subselect | sub_link_type sub_link_id location;
    CaseExpr: xpr arg args defresult | casetype casecollid location;
    CaseWhen: xpr expr result | location;
    RowExpr: xpr args colnames | row_typeid row_format location;
    CoalesceExpr: xpr args | coalescetype coalescecollid location;
    MinMaxExpr: xpr args | minmaxtype minmaxcollid inputcollid op location;
    SqlValueFunction: xpr | op r#type typmod location;
    XmlExpr: xpr named_args arg_names args | op name xmloption indent r#type typmod location;
    JsonFormat: | format_type encoding location;
    JsonReturning: format | typid typmod;
    JsonValueExpr: raw_expr formatted_expr format | ;
    JsonIsPredicate: expr format | item_type unique_keys location;
    JsonBehavior: expr | btype coerce location;
    NullTest: xpr arg | nulltesttype argisrow location;
    BooleanTest: xpr arg | booltesttype location;
    SetToDefault: xpr | type_id type_mod collation location;
    CurrentOfExpr: xpr | cvarno cursor_name cursor_param;
    JoinExpr: larg rarg using_clause join_using_alias quals alias | jointype is_natural rtindex;
    ColumnRef: fields | location;
    ParamRef: | number location;
    AExpr: name lexpr rexpr | kind rexpr_list_start rexpr_list_end location;
    TypeCast: arg type_name | location;
    CollateClause: arg collname | location;
    RoleSpec: | roletype rolename location;
    FuncCall: funcname args agg_order agg_filter over | agg_within_group agg_star agg_distinct
        func_variadic funcformat location;
    AStar: | ;
    AIndices: lidx uidx | is_slice;
    AIndirection: arg indirection | ;
    AArrayExpr: elements | list_start list_end location;
    ResTarget: indirection val | name location;
    MultiAssignRef: source | colno ncolumns;
    SortBy: node use_op | sortby_dir sortby_nulls location;
    WindowDef: partition_clause order_clause start_offset end_offset | name refname frame_options
        location;
    RangeSubselect: subquery alias | lateral;
    RangeFunction: functions alias coldeflist | lateral ordinality is_rowsfrom;
    RangeTableFunc: docexpr rowexpr namespaces columns alias | lateral location;
    RangeTableFuncCol: type_name colexpr coldefexpr | colname for_ordinality is_not_null location;
    RangeTableSample: relation method args repeatable | location;
    ColumnDef: type_name raw_default cooked_default identity_sequence coll_clause constraints
        fdwoptions | colname compression inhcount is_local is_not_null is_from_type storage
        storage_name identity generated coll_oid location;
    TableLikeClause: relation | options relation_oid;
    IndexElem: expr collation opclass opclassopts | name indexcolname ordering nulls_ordering;
    DefElem: arg | defnamespace defname defaction location arg_location;
    LockingClause: locked_rels | strength wait_policy;
    XmlSerialize: expr type_name | xmloption indent location;
    PartitionElem: expr collation opclass | name location;
    PartitionSpec: part_params | strategy location;
    PartitionBoundSpec: listdatums lowerdatums upperdatums | strategy is_default modulus remainder
        location;
    PartitionRangeDatum: value | kind location;
    PartitionCmd: name bound | concurrent;
    GroupingSet: content | kind location;
    WithClause: ctes | recursive location;
    InferClause: index_elems where_clause | conname location;
    OnConflictClause: infer target_list where_clause | action location;
    CteSearchClause: search_col_list | search_breadth_first search_seq_column location;
    CteCycleClause: cycle_col_list cycle_mark_value cycle_mark_default | cycle_mark_column
        cycle_path_column location cycle_mark_type cycle_mark_typmod cycle_mark_collation
        cycle_mark_neop;
    CommonTableExpr: aliascolnames ctequery search_clause cycle_clause ctecolnames ctecoltypes
        ctecoltypmods ctecolcollations | ctename ctematerialized location cterecursive
        cterefcount;
    MergeWhenClause: condition target_list values | match_kind command_type r#override;
    ReturningOption: | option value location;
    ReturningClause: options exprs | ;
    TriggerTransition: | name is_new is_table;
    JsonOutput: type_name returning | ;
    JsonArgument: val | name;
    JsonFuncExpr: context_item pathspec passing output on_empty on_error | op column_name wrapper
        quotes location;
    JsonTablePathSpec: string | name name_location location;
    JsonTable: context_item pathspec passing columns on_error alias | lateral location;
    JsonTableColumn: type_name pathspec format columns on_empty on_error | coltype name wrapper
        quotes location;
    JsonKeyValue: key value | ;
    JsonParseExpr: expr output | unique_keys location;
    JsonScalarExpr: expr output | location;
    JsonSerializeExpr: expr output | location;
    JsonObjectConstructor: exprs output | absent_on_null unique location;
    JsonArrayConstructor: exprs output | absent_on_null location;
    JsonArrayQueryConstructor: query output format | absent_on_null location;
    JsonAggConstructor: output agg_filter agg_order over | location;
    JsonObjectAgg: constructor arg | absent_on_null unique;
    JsonArrayAgg: constructor arg | absent_on_null;
    AlterTableCmd: newowner def | subtype name num behavior missing_ok recurse;
    AtAlterConstraint: | conname alter_enforceability is_enforced alter_deferrability deferrable
        initdeferred alter_inheritability noinherit;
    ObjectWithArgs: objname objargs objfuncargs | args_unspecified;
    AccessPriv: cols | priv_name;
    Constraint: raw_expr keys including exclusions options where_clause pktable fk_attrs pk_attrs
        fk_del_set_cols old_conpfeqop | contype conname deferrable initdeferred is_enforced
        skip_validation initially_valid is_no_inherit cooked_expr generated_when generated_kind
        nulls_not_distinct without_overlaps indexname indexspace reset_default_tblspc
        access_method fk_with_period pk_with_period fk_matchtype fk_upd_action fk_del_action
        old_pktable_oid location;
    CreateOpClassItem: name order_family class_args storedtype | itemtype number;
    StatsElem: expr | name;
    FunctionParameter: arg_type defexpr | name mode location;
    VacuumRelation: relation va_cols | oid;
    PublicationTable: relation where_clause columns | ;
    PublicationObjSpec: pubtable | pubobjtype name location;
    List: items | ;
    RawStmt: stmt | stmt_location stmt_len;
    InsertStmt: relation cols select_stmt on_conflict_clause returning_clause with_clause |
        r#override;
    DeleteStmt: relation using_clause where_clause returning_clause with_clause | ;
    UpdateStmt: relation target_list where_clause from_clause returning_clause with_clause | ;
    MergeStmt: relation source_relation join_condition merge_when_clauses returning_clause
        with_clause | ;
    ReturnStmt: returnval | ;
    PlAssignStmt: indirection val | name nnames location;
    CreateSchemaStmt: authrole schema_elts | schemaname if_not_exists;
    AlterTableStmt: relation cmds | objtype missing_ok;
    ReplicaIdentityStmt: | identity_type name;
    AlterCollationStmt: collname | ;
    AlterDomainStmt: type_name def | subtype name behavior missing_ok;
    GrantStmt: objects privileges grantees grantor | is_grant targtype objtype grant_option
        behavior;
    GrantRoleStmt: granted_roles grantee_roles opt grantor | is_grant behavior;
    AlterDefaultPrivilegesStmt: options action | ;
    CopyStmt: relation query attlist options where_clause | is_from is_program filename;
    VariableSetStmt: args | kind name jumble_args is_local location;
    VariableShowStmt: | name;
    CreateStmt: relation table_elts inh_relations partbound partspec of_typename constraints
        nnconstraints options | oncommit tablespacename access_method if_not_exists;
    CreateTableSpaceStmt: owner options | tablespacename location;
    DropTableSpaceStmt: | tablespacename missing_ok;
    AlterTableSpaceOptionsStmt: options | tablespacename is_reset;
    AlterTableMoveAllStmt: roles | orig_tablespacename objtype new_tablespacename nowait;
    CreateExtensionStmt: options | extname if_not_exists;
    AlterExtensionStmt: options | extname;
    AlterExtensionContentsStmt: object | extname action objtype;
    CreateFdwStmt: func_options options | fdwname;
    AlterFdwStmt: func_options options | fdwname;
    CreateForeignServerStmt: options | servername servertype version fdwname if_not_exists;
    AlterForeignServerStmt: options | servername version has_version;
    CreateForeignTableStmt: base_stmt options | servername;
    CreateUserMappingStmt: user options | servername if_not_exists;
    AlterUserMappingStmt: user options | servername;
    DropUserMappingStmt: user | servername missing_ok;
    ImportForeignSchemaStmt: table_list options | server_name remote_schema local_schema
        list_type;
    CreatePolicyStmt: table roles qual with_check | policy_name cmd_name permissive;
    AlterPolicyStmt: table roles qual with_check | policy_name;
    CreateAmStmt: handler_name | amname amtype;
    CreateTrigStmt: relation funcname args columns when_clause transition_rels constrrel | replace
        isconstraint trigname row timing events deferrable initdeferred;
    CreateEventTrigStmt: whenclause funcname | trigname eventname;
    AlterEventTrigStmt: | trigname tgenabled;
    CreatePLangStmt: plhandler plinline plvalidator | replace plname pltrusted;
    CreateRoleStmt: options | stmt_type role;
    AlterRoleStmt: role options | action;
    AlterRoleSetStmt: role setstmt | database;
    DropRoleStmt: roles | missing_ok;
    CreateSeqStmt: sequence options | owner_id for_identity if_not_exists;
    AlterSeqStmt: sequence options | for_identity missing_ok;
    DefineStmt: defnames args definition | kind oldstyle if_not_exists replace;
    CreateDomainStmt: domainname type_name coll_clause constraints | ;
    CreateOpClassStmt: opclassname opfamilyname datatype items | amname is_default;
    CreateOpFamilyStmt: opfamilyname | amname;
    AlterOpFamilyStmt: opfamilyname items | amname is_drop;
    DropStmt: objects | remove_type behavior missing_ok concurrent;
    TruncateStmt: relations | restart_seqs behavior;
    CommentStmt: object | objtype comment;
    SecLabelStmt: object | objtype provider label;
    DeclareCursorStmt: query | portalname options;
    ClosePortalStmt: | portalname;
    FetchStmt: | direction how_many portalname ismove;
    IndexStmt: relation index_params index_including_params options where_clause exclude_op_names
        | idxname access_method table_space idxcomment index_oid old_number old_create_subid
        old_first_relfilelocator_subid unique nulls_not_distinct primary isconstraint
        iswithoutoverlaps deferrable initdeferred transformed concurrent if_not_exists
        reset_default_tblspc;
    CreateStatsStmt: defnames stat_types exprs relations | stxcomment transformed if_not_exists;
    AlterStatsStmt: defnames stxstattarget | missing_ok;
    CreateFunctionStmt: funcname parameters return_type options sql_body | is_procedure replace;
    AlterFunctionStmt: func actions | objtype;
    DoStmt: args | ;
    CallStmt: funccall outargs | funcexpr;
    RenameStmt: relation object | rename_type relation_type subname newname behavior missing_ok;
    AlterObjectDependsStmt: relation object extname | object_type remove;
    AlterObjectSchemaStmt: relation object | object_type newschema missing_ok;
    AlterOwnerStmt: relation object newowner | object_type;
    AlterOperatorStmt: opername options | ;
    AlterTypeStmt: type_name options | ;
    RuleStmt: relation where_clause actions | rulename event instead replace;
    NotifyStmt: | conditionname payload payload_location;
    ListenStmt: | conditionname;
    UnlistenStmt: | conditionname;
    TransactionStmt: options | kind savepoint_name gid chain location;
    CompositeTypeStmt: typevar coldeflist | ;
    CreateEnumStmt: type_name vals | ;
    CreateRangeStmt: type_name params | ;
    AlterEnumStmt: type_name | old_val new_val new_val_neighbor new_val_is_after
        skip_if_new_val_exists;
    ViewStmt: view aliases query options | replace with_check_option;
    LoadStmt: | filename;
    CreatedbStmt: options | dbname;
    AlterDatabaseStmt: options | dbname;
    AlterDatabaseRefreshCollStmt: | dbname;
    AlterDatabaseSetStmt: setstmt | dbname;
    DropdbStmt: options | dbname missing_ok;
    AlterSystemStmt: setstmt | ;
    ClusterStmt: relation params | indexname;
    VacuumStmt: options rels | is_vacuumcmd;
    ExplainStmt: query options | ;
    CreateTableAsStmt: query into | objtype is_select_into if_not_exists;
    RefreshMatViewStmt: relation | concurrent skip_data;
    CheckPointStmt: | ;
    DiscardStmt: | target;
    LockStmt: relations | mode nowait;
    ConstraintsSetStmt: constraints | deferred;
    ReindexStmt: relation params | kind name;
    CreateConversionStmt: conversion_name func_name | for_encoding_name to_encoding_name def;
    CreateCastStmt: sourcetype targettype func | context inout;
    CreateTransformStmt: type_name fromsql tosql | replace lang;
    PrepareStmt: argtypes query | name;
    ExecuteStmt: params | name;
    DeallocateStmt: | name isall location;
    DropOwnedStmt: roles | behavior;
    ReassignOwnedStmt: roles newrole | ;
    AlterTsDictionaryStmt: dictname options | ;
    AlterTsConfigurationStmt: cfgname tokentype dicts | kind r#override replace missing_ok;
    CreatePublicationStmt: options pubobjects | pubname for_all_tables;
    AlterPublicationStmt: options pubobjects | pubname for_all_tables action;
    CreateSubscriptionStmt: publication options | subname conninfo conninfo_location;
    AlterSubscriptionStmt: publication options | kind subname conninfo conninfo_location;
    DropSubscriptionStmt: | subname missing_ok behavior;
    String: | sval;
}
